#!/usr/bin/env bash
# fitsio-sys 0.5.7 with its feature `fitsio-src` does not build cfitsio in cargo's output folder: it configures, compiles and installs it
# inside the unpacked source of the package, in cargo's registry.
#
# Cargo's book says that build scripts write to OUT_DIR alone. Seen with fitsio-sys 0.5.7: after `cargo build` in an empty project,
# libcfitsio.a and the object files stand under CARGO_HOME/registry/src/.../fitsio-sys-0.5.7/ext/cfitsio, none under the target folder,
# and the build script tells the linker to look there. So a registry that is not writable does not build, two cold builds with one
# CARGO_HOME work in one folder at the same time, and a project that was built no longer links once the registry's sources were cleaned.
# Fails when that changes. Needs cargo, a C toolchain and access to crates.io.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export CARGO_HOME="$folder/cargo" CARGO_TARGET_DIR="$folder/target"
mkdir -p "$CARGO_HOME" "$folder/project/src"
# Where crates come from, and nothing else, is taken over from the user.
for config in "${HOME:-/root}/.cargo/config.toml" "${HOME:-/root}/.cargo/config"; do
  if [ -f "$config" ]; then cp "$config" "$CARGO_HOME/"; fi
done
cd "$folder/project"
cat > Cargo.toml <<'TOML'
[package]
name = "empty"
version = "0.1.0"
edition = "2021"
[dependencies]
fitsio-sys = { version = "=0.5.7", features = ["fitsio-src"] }
TOML
echo 'pub use fitsio_sys as sys;' > src/lib.rs
cargo build --quiet
inside=$(find "$CARGO_HOME/registry/src" -name 'libcfitsio.a' | wc -l)
objects=$(find "$CARGO_HOME/registry/src" -path '*fitsio-sys-0.5.7*' -name '*.o' | wc -l)
out=$(find "$CARGO_TARGET_DIR" -name 'libcfitsio.a' | wc -l)
told=$(cat "$CARGO_TARGET_DIR"/debug/build/fitsio-sys-*/output | grep -c 'rustc-link-search.*registry/src' || true)
echo "libcfitsio.a in the registry: $inside, its objects: $objects, libcfitsio.a in the target folder: $out, link paths into the registry: $told"
[ "$inside" -ge 1 ] && [ "$objects" -ge 50 ] && [ "$out" -eq 0 ] && [ "$told" -ge 1 ]
