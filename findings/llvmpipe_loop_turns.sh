#!/usr/bin/env bash
# Software Vulkan (Mesa's llvmpipe, package mesa-vulkan-drivers 22.3.6-1+deb12u2 of Debian 12) ends the loops of a compute shader after 65 535 turns:
# not of one loop, but of all loops of an invocation together, nested and one after another. What follows is computed from wrong sums, without an
# error, a warning or a lost device. A shader of two loops of 40 000 turns gets the first right and 25 535 turns of the second; a numerical integral in
# nested loops, which is what spectral models consist of, comes out too small or as zero. A real GPU runs the same shader to its end.
#
# The script takes the driver from its package into a temporary folder, runs a valid WGSL shader on it through the package wgpu 0.24.0 (wgpu-native) of
# Python, without rontgen, and fails if that changes. Seen: for 30 000 turns a loop sums 45000, 45000, 8137; for 40 000 turns 60000, 38301, 1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
(cd "$folder" && apt-get -q download mesa-vulkan-drivers=22.3.6-1+deb12u2 >/dev/null 2>&1 && dpkg-deb -x mesa-vulkan-drivers_*.deb driver)
library=$(find "$folder/driver" -name libvulkan_lvp.so)
printf '{"file_format_version": "1.0.0", "ICD": {"api_version": "1.1.230", "library_path": "%s"}}\n' "$library" > "$folder/icd.json"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet wgpu==0.24.0
cat > "$folder/run.py" <<'PY'
import array

import wgpu
from wgpu.utils.compute import compute_with_buffers

SHADER = """
@group(0) @binding(0) var<storage, read> turns: array<u32>;
@group(0) @binding(1) var<storage, read_write> sums: array<u32>;
@compute @workgroup_size(1)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let n = turns[id.x];
  var first = 0u; var second = 0u; var nested = 0u;
  for (var i = 0u; i < n; i++) { first += (i & 1u) + 1u; }
  for (var i = 0u; i < n; i++) { second += (i & 1u) + 1u; }
  for (var i = 0u; i < n / 100u; i++) { for (var j = 0u; j < 100u; j++) { nested += (j & 1u) + 1u; } }
  sums[3u * id.x] = first; sums[3u * id.x + 1u] = second; sums[3u * id.x + 2u] = nested;
}
"""
names = [a.info["description"] + " " + a.info["device"] for a in wgpu.gpu.enumerate_adapters_sync() if a.info["backend_type"] == "Vulkan"]
print("adapter:", "; ".join(names))
assert any("22.3.6" in name and "llvmpipe" in name for name in names), names
turns = [1000, 30000, 40000]
out = list(compute_with_buffers({0: array.array("I", turns)}, {1: (9, "I")}, SHADER, n=3)[1])
right = [n * 3 // 2 for n in turns]
for k, n in enumerate(turns):
    print(f"{n} turns a loop: {out[3 * k:3 * k + 3]}, right {right[k]} each")
assert out[:3] == [right[0]] * 3, "few turns are right"
assert out[3:5] == [right[1]] * 2 and out[5] < right[1], "the third loop of 30000 turns is cut"
assert out[6] == right[2] and out[7] < right[2] and out[8] < right[2], "the second loop of 40000 turns is cut"
# Turns in sum: 40 000 and what was left of 65 535 of the second.
assert abs(out[7] - (65535 - 40000) * 3 // 2) <= 2, out[7]
PY
VK_ICD_FILENAMES="$folder/icd.json" VK_DRIVER_FILES="$folder/icd.json" "$folder/venv/bin/python" "$folder/run.py" 2>"$folder/err" || { tail -5 "$folder/err"; exit 1; }
