//! Translates every shader of a folder to the languages of Metal and DirectX 12, and bounds its size: `rontgen-translate FOLDER [OUT]`.
//! OUT is a folder for the HLSL (which `hlsl.py` compiles) and for a table of the sizes.
//!
//! The folder is what the test `portability` of the kernels leaves behind. A package of its own, outside the default members: naga's
//! writers for these languages are compiled for this check alone.

mod size;

use naga::back::{hlsl, msl};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Expressions and statements that a shader may have with all calls inlined.
const MOST: u64 = 1_000_000;

struct Translated {
    name: String,
    hlsl: String,
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
                    let name = file.with_extension("hlsl");
                    std::fs::write(out.join(name.file_name().unwrap_or_default()), &translated.hlsl)?;
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
    let mut text = String::new();
    hlsl::Writer::new(&mut text, &hlsl::Options::default(), &hlsl::PipelineOptions::default())
        .write(&module, &info, None)
        .map_err(|error| format!("{name}: HLSL: {error}"))?;
    let size = size::inlined(&module);
    if size.total > MOST {
        return Err(format!(
            "{name}: {} expressions and statements with all calls inlined, {MOST} are allowed; let what is large be called from one \
             place, in a loop. {}",
            size.total,
            size.largest()
        ));
    }
    Ok(Translated { name: name.to_string(), hlsl: text, size })
}

#[cfg(test)]
mod tests {
    use super::translate;

    #[test]
    fn what_is_no_shader_fails() {
        assert!(translate("// wrong\nfn main( {}").is_err());
        assert!(translate("// fine\n@compute @workgroup_size(64) fn main() {}").is_ok());
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
