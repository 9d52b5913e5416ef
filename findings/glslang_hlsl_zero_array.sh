#!/usr/bin/env bash
# glslangValidator -D (the HLSL front end of glslang; Debian 12's glslang-tools 12.0.0-2) refuses `float a[4] = (float[4])0;`, how HLSL sets an array to zero and how
# naga (wgpu's translator) and others initialise arrays: "array constructor needs one argument per array element". A scalar cast to an array fills it; DXC, the compiler of
# DirectX 12, compiles the same text. So what is at hand on Linux to check HLSL says nothing: of 312 shaders that DXC compiles glslang refused 269, all for this.
# DXC itself is at hand: the package compushady of Python holds its library for Linux.
#
# The script gives the same text to glslang and to DXC (compushady 0.17.5), and to glslang with the zeros written out, without rontgen; it fails if
# that changes. DXC's "DXIL.dll not found" means that the result is not signed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
(cd "$folder" && apt-get -q download glslang-tools=12.0.0-2 >/dev/null 2>&1 && dpkg-deb -x glslang-tools_*.deb tools)
glslang=$folder/tools/usr/bin/glslangValidator
text() {
  printf 'RWByteAddressBuffer y : register(u0);\n[numthreads(1, 1, 1)]\nvoid main(uint3 id : SV_DispatchThreadID)\n{\n    float a[4] = %s;\n' "$1"
  printf '    a[id.x & 3u] = 1.0;\n    y.Store(0, asuint(a[0] + a[3]));\n}\n'
}
text '(float[4])0' > "$folder/cast.hlsl"
text '{ 0.0, 0.0, 0.0, 0.0 }' > "$folder/list.hlsl"
"$glslang" -D -S comp -e main -V -o "$folder/list.spv" "$folder/list.hlsl" > /dev/null && echo "glslang, zeros written out: compiled"
if "$glslang" -D -S comp -e main -V -o "$folder/cast.spv" "$folder/cast.hlsl" > "$folder/said"; then
  echo "glslang compiles it now"
  exit 1
fi
grep -m 1 'array constructor needs one argument per array element' "$folder/said"
python3 -m pip download -q --no-deps --no-binary :all: -d "$folder" compushady==0.17.5 2>/dev/null
tar -xzf "$folder"/compushady-0.17.5.tar.gz -C "$folder" --wildcards '*/libdxcompiler_x86_64.so.*'
cat > "$folder/run.py" <<'PY'
import ctypes
import sys
import uuid

library = ctypes.CDLL(sys.argv[1])
source = open(sys.argv[2], "rb").read()


class Buffer(ctypes.Structure):
    _fields_ = [("text", ctypes.c_char_p), ("size", ctypes.c_size_t), ("encoding", ctypes.c_uint32)]


def name(text):
    return ctypes.create_string_buffer(uuid.UUID(text).bytes_le, 16)


def call(thing, method, *arguments):
    table = ctypes.cast(ctypes.cast(thing, ctypes.POINTER(ctypes.c_void_p))[0], ctypes.POINTER(ctypes.c_void_p))
    return ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, *map(type, arguments))(table[method])(thing, *arguments)


# IDxcCompiler3::Compile, then IDxcOperationResult::GetStatus; two destructors stand behind IUnknown's three methods.
compiler, result, status = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_int32(-1)
made = library.DxcCreateInstance(
    name("73e22d93-e6ce-47f3-b5bf-f0664f39c1b0"), name("228b4687-5a6a-4730-900c-9702b2203f54"), ctypes.byref(compiler))
assert made == 0, made
words = (ctypes.c_wchar_p * 6)("-E", "main", "-T", "cs_6_0", "-HV", "2018")
text, kind = Buffer(source, len(source), 65001), name("58346cda-dde7-4497-9461-6f87af5e0659")
place = lambda x: ctypes.c_void_p(ctypes.addressof(x))
assert call(compiler.value, 5, place(text), place(words), ctypes.c_uint32(6), ctypes.c_void_p(), place(kind), place(result)) == 0
call(result.value, 5, place(status))
print("DXC:", "compiled" if status.value == 0 else f"refused ({status.value & 0xFFFFFFFF:#x})")
sys.exit(status.value != 0)
PY
python3 "$folder/run.py" "$folder"/compushady-0.17.5/compushady/backends/libdxcompiler_x86_64.so.* "$folder/cast.hlsl"
