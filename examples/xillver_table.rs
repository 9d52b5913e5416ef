//! Writes a small table in the form of xillver's, made of analytic pieces: to try the components of reflection (xillver, relxill, relxilllp and
//! their Cp forms) without the published tables, which hold real atomic physics and this does not.
//!
//! `cargo run --release --example xillver_table -- FOLDER`, then `xillver = "FOLDER"` in the run file's `[model]`.

#[path = "../tests/common/fits.rs"]
mod fits;
#[path = "../tests/common/table.rs"]
mod table;
#[path = "../tests/common/xillver.rs"]
mod xillver;

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "xillver-test".into()));
    for comptonised in [false, true] {
        println!("{}", xillver::write(&folder, comptonised, 1.0)?.display());
    }
    Ok(())
}
