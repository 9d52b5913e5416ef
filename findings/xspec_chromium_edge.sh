#!/usr/bin/env bash
# XSPEC's photoabsorption with `xsect bcmc` or `obcm` (package xspectrampoline 0.1.5, which carries XSPEC 12.15's library; numpy 2.2.6, Linux
# x86_64): a bin that holds 0.5985 keV, an edge of chromium, can get a cross section of chromium ten thousand times that of either
# side. One bin from 0.58 to 0.70 keV, abundances angr, nH = 1e22 cm-2: chromium's optical depth is 81.5; cut at 0.5985 keV the
# two halves have 0.0012 and 0.0077. With `vern` the bin has what its halves have. So a coarse grid turns black where a fine one is
# transparent: `phabs` of 1e21 cm-2 keeps 1.5e-4 of the photons of that bin, and 0.52 where the bin is cut.
#
# The script installs the packages in a temporary folder, runs them without rontgen, and fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet xspectrampoline==0.1.5 numpy==2.2.6
cat > "$folder/run.py" <<'PY'
import ctypes, glob, importlib.util, math, os, pathlib

root = next(pathlib.Path(importlib.util.find_spec("xspectrampoline").origin).parent.glob("LibXSPEC_*"))
os.environ["HEADAS"] = str(root)
# The libraries need each other in an order that is not told: try until nothing more can be loaded.
left, libraries = sorted(glob.glob(f"{root}/lib/*.so*")), {}
while True:
    before = len(libraries)
    for path in list(left):
        try:
            libraries[path] = ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
            left.remove(path)
        except OSError:
            pass
    if len(libraries) == before:
        break


def symbol(name):
    for library in libraries.values():
        try:
            return getattr(library, name)
        except AttributeError:
            continue
    raise SystemExit(f"no {name} in the library")


symbol("FNINIT")()
symbol("FPCHAT")(ctypes.c_int(0))
error = ctypes.c_int()
symbol("FPSOLR")(b"angr", ctypes.byref(error))
# nH, then He C N O Ne Na Mg Al Si S Cl Ar Ca Cr Fe Co Ni relative to the table.
CHROMIUM = 14


def transmission(name, edges, parameters):
    """A routine of the Fortran kind: single precision, everything by reference."""
    n = len(edges) - 1
    array = lambda values: (ctypes.c_float * len(values))(*values)
    out, errors = (ctypes.c_float * n)(), (ctypes.c_float * n)()
    model = symbol(name)
    model.restype = None
    model(array(edges), ctypes.byref(ctypes.c_int(n)), array(parameters), ctypes.byref(ctypes.c_int(1)), out, errors)
    return list(out)


def chromium(edges, nh=1e-4):
    depths = []
    for abundance in (0.0, 1.0):
        parameters = [nh] + [0.0] * 17
        parameters[CHROMIUM] = abundance
        depths.append([-math.log(t) / nh for t in transmission("xsvphb_", edges, parameters)])
    return [b - a for a, b in zip(*depths)]


for table in ("vern", "obcm", "bcmc"):
    symbol("FPXSCT")(table.encode(), ctypes.byref(error))
    assert error.value == 0, table
    (whole,), halves = chromium([0.58, 0.70]), chromium([0.58, 0.5985, 0.70])
    (coarse,), fine = transmission("xsphab_", [0.58, 0.70], [0.1]), transmission("xsphab_", [0.58, 0.5985, 0.70], [0.1])
    mean = (fine[0] * 0.0185 + fine[1] * 0.1015) / 0.12
    print(f"{table}: chromium {whole:.4f} in one bin, {halves[0]:.4f} and {halves[1]:.4f} in two; phabs 0.1 {coarse:.6f} and {mean:.6f}")
    if table == "vern":
        assert whole < 1.01 * max(halves) and abs(coarse - mean) < 0.01
    else:
        assert whole > 5000 * max(halves) and coarse < 1e-3 * mean
PY
"$folder/venv/bin/python" "$folder/run.py"
echo "as stated"
