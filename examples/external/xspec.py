"""One of XSPEC's own components as an external model, through the package xspectrampoline (its libraries, no HEASOFT needed).

    command = ["python3", "xspec.py", "comptt"]      # any additive or multiplicative component of XSPEC

Parameters come in XSPEC's order, without the norm. XSPEC's routines are not thread-safe, but every worker is a process of its own.
RONTGEN_ABUND and RONTGEN_XSECT (default wilm, vern) choose the tables.
"""
import ctypes
import importlib.util
import os
import pathlib
import sys

import numpy as np

import rontgen_external

ROOT = next(pathlib.Path(importlib.util.find_spec("xspectrampoline").origin).parent.glob("LibXSPEC_*"))
os.environ["HEADAS"] = str(ROOT)
# In the order in which they need each other.
LIBRARIES = (
    "libgcc_s.so*", "libquadmath.so*", "libstdc++.so*", "libgfortran.so*", "libcfitsio.so*", "libwcs*.so*", "libreadline.so*",
    "libape*.so*", "libhdutils*.so*", "libhdio*.so*", "libCCfits*.so*", "libhdsp*.so*", "libfftw3.so*", "libgslcblas.so*",
    "libgsl.so*", "libfgsl.so*", "libXSUtil.so*", "libXSModel.so*", "libXSFunctions.so*",
)


def load(pattern):
    for path in sorted((ROOT / "lib").glob(pattern)):
        try:
            return ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        except OSError:
            continue
    return None


LOADED = [load(pattern) for pattern in LIBRARIES]


def routine(name):
    for library in reversed([library for library in LOADED if library is not None]):
        if hasattr(library, name):
            return getattr(library, name)
    raise SystemExit(f"XSPEC's libraries have no routine {name}")


def definition(component):
    """Number of parameters without the norm and the routine's name, from model.dat."""
    for block in (ROOT / "spectral/manager/model.dat").read_text().split("\n\n"):
        words = block.split()
        if len(words) >= 6 and words[0].lower() == component.lower():
            return int(words[1]), words[4]
    raise SystemExit(f"XSPEC has no component {component}")


def evaluator(component):
    count, name = definition(component)
    # C_name: C++ in double precision; F_name: Fortran in double precision; otherwise Fortran in single precision.
    cplusplus, double = name.startswith(("C_", "c_")), name[:2] in ("C_", "c_", "F_")
    number = np.float64 if double else np.float32
    if cplusplus:
        function = routine(name if name[0] == "C" else name[2:])
    else:
        function = routine((name[2:] if name.startswith("F_") else name).lower() + "_")
    function.restype = None
    pointer = lambda array: array.ctypes.data_as(ctypes.c_void_p)
    one = ctypes.c_int(1)

    def evaluate(parameters, lo, hi):
        if len(parameters) != count:
            raise ValueError(f"{component} has {count} parameters without the norm, not {len(parameters)}")
        edges = np.append(lo, hi[-1]).astype(number)
        values = np.ascontiguousarray(parameters, number)
        bins = ctypes.c_int(len(lo))
        out, error = np.zeros(len(lo), number), np.zeros(len(lo), number)
        if cplusplus:
            function(pointer(edges), bins, pointer(values), one, pointer(out), pointer(error), b"")
        else:
            function(pointer(edges), ctypes.byref(bins), pointer(values), ctypes.byref(one), pointer(out), pointer(error))
        return out

    return evaluate


def prepare(_name):
    routine("FNINIT")()
    routine("FPCHAT")(ctypes.c_int(0))
    error = ctypes.c_int(0)
    routine("FPSOLR")(os.environ.get("RONTGEN_ABUND", "wilm").encode(), ctypes.byref(error))
    routine("FPXSCT")(os.environ.get("RONTGEN_XSECT", "vern").encode(), ctypes.byref(error))


if len(sys.argv) != 2:
    raise SystemExit("usage: xspec.py COMPONENT")
rontgen_external.serve(evaluator(sys.argv[1]), start=prepare)
