//! Translates every shader of a folder to the languages of Metal and DirectX 12, and bounds its size: `rontgen-translate FOLDER [OUT]`.
//! OUT is a folder for HLSL (which `dxc.py` compiles), SPIR-V and a table of the sizes.
//!
//! The folder is what the test `portability` of the kernels leaves behind. A package of its own, outside the default members: naga's
//! writers for these languages are compiled for this check alone.

mod size;

use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Expressions and statements that a shader may have with all calls inlined. Where every call is inlined, compilers need much more than
/// twice for twice as much: SwiftShader takes 6 s and 0.3 GB for 29 000, and gives up beyond 8 GB with 62 000.
const MOST: u64 = 40_000;
/// Bytes of workgroup memory that DirectX 12 has; variants of products that ask for more are for other adapters.
const DIRECTX_SHARED: u32 = 32_768;

struct Translated {
    name: String,
    /// None where DirectX 12 has no room for it.
    hlsl: Option<String>,
    spirv: Vec<u32>,
    size: size::Size,
}

fn main() -> ExitCode {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(folder), out) = (paths.next(), paths.next()) else {
        eprintln!("usage: rontgen-translate FOLDER [OUT]; FOLDER holds *.wgsl files");
        return ExitCode::from(2);
    };
    match run(&folder, out.as_deref()) {
        Ok(failed) => ExitCode::from(u8::from(failed)),
        Err(error) => {
            eprintln!("{}: {error}", folder.display());
            ExitCode::from(2)
        }
    }
}

/// Whether any shader failed.
fn run(folder: &Path, out: Option<&Path>) -> std::io::Result<bool> {
    let files = shaders(folder)?;
    if files.is_empty() {
        let error = "no *.wgsl file; `cargo test --release --test kernels portability` writes them";
        return Err(std::io::Error::other(error));
    }
    if let Some(out) = out {
        std::fs::create_dir_all(out)?;
    }
    let (mut failed, mut sizes) = (0, Vec::new());
    for file in &files {
        match translate(&std::fs::read_to_string(file)?) {
            Ok(translated) => {
                if let Some(out) = out {
                    let place = out.join(file.file_stem().unwrap_or_default());
                    if let Some(text) = &translated.hlsl {
                        std::fs::write(place.with_extension("hlsl"), text)?;
                    }
                    let bytes: Vec<u8> = translated.spirv.iter().flat_map(|word| word.to_le_bytes()).collect();
                    std::fs::write(place.with_extension("spv"), bytes)?;
                }
                sizes.push((translated.size, translated.name, file));
            }
            Err(error) => {
                eprintln!("{}: {error}", file.display());
                failed += 1;
            }
        }
    }
    sizes.sort_by_key(|(size, ..)| std::cmp::Reverse(size.total));
    if let Some(out) = out {
        let mut table = String::from("inlined\tfile\tkernel\tlargest parts\n");
        for (size, name, file) in &sizes {
            let _ = writeln!(table, "{}\t{}\t{name}\t{}", size.total, file.display(), size.largest());
        }
        std::fs::write(out.join("sizes.tsv"), table)?;
    }
    println!("{} of {} shaders translate for Metal and DirectX 12", files.len() - failed, files.len());
    if let Some((size, name, _)) = sizes.first() {
        println!("the largest, with all calls inlined: {} expressions and statements of {MOST} ({name})", size.total);
    }
    Ok(failed > 0)
}

fn shaders(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries: std::io::Result<Vec<PathBuf>> = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect();
    let mut files = entries?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "wgsl"));
    files.sort();
    Ok(files)
}

/// A shader whose first line is a comment that names it.
fn translate(source: &str) -> Result<Translated, String> {
    let name = source.lines().next().unwrap_or_default().trim_start_matches(['/', ' ']);
    let module = naga::front::wgsl::parse_str(source).map_err(|error| error.emit_to_string(source))?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .map_err(|error| error.emit_to_string(source))?;
    msl::write_string(&module, &info, &msl::Options::default(), &msl::PipelineOptions::default())
        .map_err(|error| format!("{name}: MSL: {error}"))?;
    // What FXC takes, and DXC at the least.
    let [old, new] = [hlsl::ShaderModel::V5_1, hlsl::ShaderModel::V6_0].map(|shader_model| {
        let (mut text, options) = (String::new(), hlsl::Options { shader_model, ..hlsl::Options::default() });
        let written =
            hlsl::Writer::new(&mut text, &options, &hlsl::PipelineOptions::default()).write(&module, &info, None);
        written.map(|_| text).map_err(|error| format!("{name}: HLSL: {error}"))
    });
    let hlsl = old.and(new)?;
    let shared: u32 = module
        .global_variables
        .iter()
        .filter(|(_, variable)| variable.space == naga::AddressSpace::WorkGroup)
        .map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx()))
        .sum();
    let spirv = spv::write_vec(&module, &info, &spv::Options::default(), None)
        .map_err(|error| format!("{name}: SPIR-V: {error}"))?;
    let size = size::inlined(&module);
    if size.total > MOST {
        return Err(format!(
            "{name}: {} expressions and statements with all calls inlined, {MOST} are allowed; let what is large be called from one \
             place, in a loop. {}",
            size.total,
            size.largest()
        ));
    }
    Ok(Translated { name: name.to_string(), hlsl: (shared <= DIRECTX_SHARED).then_some(hlsl), spirv, size })
}

#[cfg(test)]
mod tests {
    use super::translate;

    #[test]
    fn what_is_no_shader_fails() {
        assert!(translate("// wrong\nfn main( {}").is_err());
        let fine = translate("// fine\n@compute @workgroup_size(64) fn main() {}").unwrap();
        assert!(fine.hlsl.is_some() && !fine.spirv.is_empty());
    }

    #[test]
    fn directx_has_32_kib_of_workgroup_memory() {
        let text = |numbers: u32| {
            format!(
                "// big\nvar<workgroup> x: array<f32, {numbers}>; @compute @workgroup_size(1) fn main() {{ x[0] = 1.0; }}"
            )
        };
        assert!(translate(&text(8192)).unwrap().hlsl.is_some());
        assert!(translate(&text(8193)).unwrap().hlsl.is_none());
    }

    #[test]
    fn what_grows_without_bound_fails() {
        let doubling: String =
            (1..25).map(|k| format!("fn f{k}(x: f32) -> f32 {{ return f{0}(x) + f{0}(x + 1.0); }}\n", k - 1)).collect();
        let text = format!(
            "// deep\n@group(0) @binding(0) var<storage, read_write> y: f32;\nfn f0(x: f32) -> f32 {{ return x * x; }}\n{doubling}\
             @compute @workgroup_size(1) fn main() {{ y = f24(y); }}"
        );
        let error = translate(&text).err().unwrap();
        assert!(error.contains("f0") && error.contains("inlined"), "{error}");
    }
}
