#!/usr/bin/env bash
# sin and cos of a shader on SwiftShader (the software Vulkan and WebGPU of Chromium, package chromium-common 156.0.8078.108-1~deb12u1 of Debian 12) are off
# by up to 1.9e-4 between -pi and pi, three thousand times the rounding of f32, while exp and log on it are right to 1e-6 and Mesa's llvmpipe is right to 1e-7. More
# than four in five values are off by more than 1e-5. Both standards allow it: WGSL and Vulkan ask for 2^-11 = 4.9e-4 in sin and cos, so a guess from other functions, or from what
# other drivers do, misses. Normal numbers by Box and Muller move by that times their radius, and a cosine of an inclination has four digits. A reduction to a
# quarter turn and a polynomial in the shader itself are right to 1e-7 everywhere.
#
# The script takes the driver from its package into a temporary folder, runs a valid WGSL shader on it through the package wgpu 0.24.0 (wgpu-native) of
# Python, without rontgen, and fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
(cd "$folder" && apt-get -q download chromium-common=156.0.8078.108-1~deb12u1 >/dev/null 2>&1 && dpkg-deb -x chromium-common_*.deb driver)
library=$(find "$folder/driver" -name libvk_swiftshader.so)
printf '{"file_format_version": "1.0.0", "ICD": {"api_version": "1.1.0", "library_path": "%s"}}\n' "$library" > "$folder/icd.json"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet wgpu==0.24.0
cat > "$folder/run.py" <<'PY'
import array
import math
import struct

import wgpu
from wgpu.utils.compute import compute_with_buffers

SHADER = """
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let v = x[id.x];
  y[4u * id.x] = cos(v); y[4u * id.x + 1u] = sin(v); y[4u * id.x + 2u] = log(abs(v)); y[4u * id.x + 3u] = exp(v);
}
"""
names = [a.info["device"] for a in wgpu.gpu.enumerate_adapters_sync() if a.info["backend_type"] == "Vulkan"]
print("adapter:", "; ".join(names))
assert any("SwiftShader" in name for name in names), names
single = lambda v: struct.unpack("f", struct.pack("f", v))[0]
n = 65536
places = [single(3.14159 * (2 * k + 1 - n) / n) for k in range(n)]
out = list(compute_with_buffers({0: array.array("f", places)}, {1: (4 * n, "f")}, SHADER, n=n // 64)[1])
errors = {"cos": [], "sin": [], "log": [], "exp": []}
for k, x in enumerate(places):
    errors["cos"].append(abs(out[4 * k] - math.cos(x)))
    errors["sin"].append(abs(out[4 * k + 1] - math.sin(x)))
    errors["log"].append(abs(out[4 * k + 2] - math.log(abs(x))))
    errors["exp"].append(abs(out[4 * k + 3] / math.exp(x) - 1))
for name, values in errors.items():
    print(f"{name}: off by {max(values):.1e} at most, by more than 1e-5 in {sum(v > 1e-5 for v in values) / n:.0%}")
assert max(errors["log"]) < 2e-6 and max(errors["exp"]) < 2e-6, "exp and log are those of f32"
for name in ("cos", "sin"):
    assert 1e-4 < max(errors[name]) < 2**-11, "rough, within what WGSL allows"
    assert sum(v > 1e-5 for v in errors[name]) > 0.8 * n, "most of them"
PY
VK_ICD_FILENAMES="$folder/icd.json" VK_DRIVER_FILES="$folder/icd.json" "$folder/venv/bin/python" "$folder/run.py" 2>"$folder/err" || { tail -5 "$folder/err"; exit 1; }
