#!/usr/bin/env bash
# A second driver of Vulkan: SwiftShader, which Chromium brings along. It inlines every call, and its cosines are as rough as the standards allow.
#
#     cargo test --release --test kernels --no-run && kernels-tests/swiftshader.sh         # `devices --test`, and what is drawn or integrated
#     kernels-tests/swiftshader.sh --all                                                   # every test of the kernels
#
# Address space is bounded to 8 GB: what takes more on a driver that inlines is to be written otherwise. The program and the tests are those that
# were built last.
set -euo pipefail
cd "$(dirname "$0")/.."
driver=${SWIFTSHADER:-/usr/lib/chromium/vk_swiftshader_icd.json}
[ -e "$driver" ] || { echo "missing: $driver (Debian's package chromium has it; SWIFTSHADER names another place)" >&2; exit 2; }
export VK_DRIVER_FILES=$driver VK_ICD_FILENAMES=$driver RONTGEN_REQUIRE_GPU=1
cache=$(mktemp -d)
trap 'rm -rf "$cache"' EXIT
export XDG_CACHE_HOME=$cache XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-$cache}

# Whole modules: the name of a single test that is gone would run nothing.
only=(random:: background_draw:: poisson:: spline:: stabilize:: model:: model_fold::)
[ "${1:-}" != --all ] || only=()
target=${CARGO_TARGET_DIR:-target}/release
# The newest: whatever features it was built with.
tests=""
for file in "$target"/deps/kernels-*; do
  if [ -x "$file" ] && [ -f "$file" ] && { [ -z "$tests" ] || [ "$file" -nt "$tests" ]; }; then tests=$file; fi
done
[ -n "$tests" ] || { echo "missing: $target/deps/kernels-*; cargo test --release --test kernels --no-run builds it" >&2; exit 2; }
ulimit -v 8000000
"$target/rontgen" devices --test --device SwiftShader
# Translations do not depend on the driver.
"$tests" "${only[@]+"${only[@]}"}" --skip portability
