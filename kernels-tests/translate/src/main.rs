//! Translates every shader of a folder to the languages of Metal and DirectX 12: `rontgen-translate FOLDER`.
//!
//! The folder is what the test `portability` of the kernels leaves behind. A package of its own, outside the default members: naga's
//! writers for these languages are compiled for this check alone.

use naga::back::{hlsl, msl};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: rontgen-translate FOLDER, a folder of *.wgsl files");
        return ExitCode::from(2);
    };
    let files = match shaders(&folder) {
        Ok(files) => files,
        Err(error) => {
            eprintln!("{}: {error}", folder.display());
            return ExitCode::from(2);
        }
    };
    if files.is_empty() {
        eprintln!(
            "{}: no *.wgsl file; `cargo test --release --test kernels portability` writes them",
            folder.display()
        );
        return ExitCode::from(2);
    }
    let mut failed = 0;
    for file in &files {
        let translated =
            std::fs::read_to_string(file).map_err(|error| error.to_string()).and_then(|text| translate(&text));
        if let Err(error) = translated {
            eprintln!("{}: {error}", file.display());
            failed += 1;
        }
    }
    println!("{} of {} shaders translate for Metal and DirectX 12", files.len() - failed, files.len());
    ExitCode::from(u8::from(failed > 0))
}

fn shaders(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries: std::io::Result<Vec<PathBuf>> = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect();
    let mut files = entries?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "wgsl"));
    files.sort();
    Ok(files)
}

fn translate(source: &str) -> Result<(), String> {
    let name = source.lines().next().unwrap_or_default();
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
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::translate;

    #[test]
    fn what_is_no_shader_fails() {
        assert!(translate("// wrong\nfn main( {}").is_err());
        assert!(translate("// fine\n@compute @workgroup_size(64) fn main() {}").is_ok());
    }
}
