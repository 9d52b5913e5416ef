#!/usr/bin/env bash
# XSPEC's `clumin` called from its library (package xspectrampoline 0.1.5, which carries XSPEC 12.15's library; numpy 2.2.6, Linux x86_64): after
# the library's own initialisation (FNINIT), which sets abundances and cross sections, the cosmology is unset, and clumin then returns a spectrum of zeros,
# without an error or a word. The program `xspec` sets it (70, 0, 0.73); a caller of the library has to call csmpall first, and gets the
# luminosity that was asked for.
#
# The script installs the packages in a temporary folder, runs them without rontgen, and fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet xspectrampoline==0.1.5 numpy==2.2.6
cat > "$folder/run.py" <<'PY'
import ctypes, glob, importlib.util, os, pathlib

import numpy as np

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
edges = np.geomspace(0.3, 12.0, 2001)
# A power law of index 2 and norm 1e-3 at 1 keV, photons/cm2/s per bin.
photons = 1e-3 * (1 / edges[:-1] - 1 / edges[1:])


def clumin(z, logarithm):
    """Photons per bin with luminosity 10^logarithm erg/s from 2 to 10 keV of the source at redshift z."""
    parameters = (ctypes.c_double * 4)(2.0, 10.0, z, logarithm)
    flux = (ctypes.c_double * len(photons))(*photons)
    errors = (ctypes.c_double * len(photons))()
    model = symbol("C_clumin")
    model.restype = None
    model((ctypes.c_double * len(edges))(*edges), ctypes.c_int(len(photons)), parameters, ctypes.c_int(1), flux, errors, b"")
    return np.array(flux)


before = clumin(0.1, 44.0)
symbol("csmpall_")(*[ctypes.byref(ctypes.c_float(x)) for x in (70.0, 0.0, 0.73)])
after = clumin(0.1, 44.0)
middle = np.sqrt(edges[1:] * edges[:-1])
inside = (middle > 2.0 / 1.1) & (middle < 10.0 / 1.1)
flux = (after * middle)[inside].sum() * 1.602177e-9
# Luminosity distance at z = 0.1 in a flat universe of 70 km/s/Mpc and Lambda 0.73, by quadrature: 461.3 Mpc or so.
z = np.linspace(0.0, 0.1, 10001)
e = 1 / np.sqrt(0.27 * (1 + z) ** 3 + 0.73)
distance = 1.1 * 299792.458 / 70.0 * np.sum(0.5 * (e[1:] + e[:-1]) * np.diff(z)) * 3.0856776e24
luminosity = 4 * np.pi * distance**2 * flux
print(f"before csmpall: {before.sum():g} photons/cm2/s; after it: {after.sum():g}, a luminosity of {luminosity:.4g} erg/s for 1e44")
assert before.sum() == 0.0, "clumin without a cosmology is no longer zero"
assert abs(luminosity / 1e44 - 1) < 0.02, "clumin with a cosmology has another luminosity"
PY
"$folder/venv/bin/python" "$folder/run.py"
