#!/usr/bin/env bash
# XSPEC's table models at the ends of their tables (package xspectrampoline 0.1.5, which carries XSPEC 12.15's library; numpy 2.2.6, Linux x86_64):
#
#   etable   outside its energies it is 0, where XSPEC's manual has 1 for tables without LOELIMIT and HIELIMIT: an absorber of
#            optical depth 0.5 from 1 to 9 keV lets 0.61 through there and is black below and above. The same file as mtable is 1 there, and the etable is, too, with
#            LOELIMIT = HIELIMIT = 1. Absorbers and tori are given as etables, and responses reach further than tables: all counts below such a table are lost from the model.
#   atable   a bin that holds the table's lower end gets nothing of it, one that holds the upper end gets its share. A table of 1 photon/cm2/s in each keV from 1 to
#            9 keV gives 0 photons from 0.5 to 2.5 keV, where 1.5 are, and 1 from 8 to 10 keV.
#
# The routine is tabint, which the library's header declares; Sherpa 4.19 calls it for its table models, with the types "add", "mul" and "exp".
#
# The script installs the packages in a temporary folder, writes small valid tables (OGIP/92-009), runs the routine without rontgen, and fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet xspectrampoline==0.1.5 numpy==2.2.6 astropy==7.1.1
cat > "$folder/run.py" <<'PY'
import ctypes, glob, importlib.util, os, pathlib

import numpy as np
from astropy.io import fits

np.set_printoptions(linewidth=160, precision=5, suppress=True)
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


def routine(name):
    for library in libraries.values():
        try:
            return getattr(library, name)
        except AttributeError:
            pass
    raise SystemExit(f"{name} is not in the package")


routine("FNINIT")()
LOW, HIGH = 1.0, 9.0
EDGES = np.arange(LOW, HIGH + 0.5)
N = len(EDGES) - 1


def table(name, second, columns, **more):
    hdu = fits.BinTableHDU.from_columns([fits.Column(n, f, unit=u, array=a) for n, f, u, a in columns], name=name)
    hdu.header.update({"HDUCLASS": "OGIP", "HDUCLAS1": "XSPEC TABLE MODEL", "HDUCLAS2": second, "HDUVERS": "1.0.0", **more})
    return hdu


def write(path, additive, **limits):
    """One parameter from 0 to 10 that is the value in every bin of the table."""
    first = fits.PrimaryHDU()
    first.header.update({"HDUCLASS": "OGIP", "HDUCLAS1": "XSPEC TABLE MODEL", "HDUVERS": "1.0.0", "MODLNAME": "flat", "MODLUNIT": "photons/cm^2/s" if additive else "none",
                         "REDSHIFT": False, "ADDMODEL": additive, **limits})
    numbers = [("INITIAL", 1.0), ("DELTA", 0.01), ("MINIMUM", 0.0), ("BOTTOM", 0.0), ("TOP", 10.0), ("MAXIMUM", 10.0)]
    parameters = [("NAME", "12A", None, ["value"]), ("METHOD", "J", None, [0]), *[(n, "E", None, [v]) for n, v in numbers], ("NUMBVALS", "J", None, [2]),
                  ("VALUE", "2E", None, [[0.0, 10.0]])]
    spectra = [("PARAMVAL", "E", None, [0.0, 10.0]), ("INTPSPEC", f"{N}E", "photons/cm^2/s" if additive else None, np.outer([0.0, 10.0], np.ones(N)))]
    fits.HDUList([
        first,
        table("PARAMETERS", "PARAMETERS", parameters, NINTPARM=1, NADDPARM=0),
        table("ENERGIES", "ENERGIES", [("ENERG_LO", "E", "keV", EDGES[:-1]), ("ENERG_HI", "E", "keV", EDGES[1:])]),
        table("SPECTRA", "MODEL SPECTRA", spectra),
    ]).writeto(path)


def xspec(path, kind, edges, value):
    edges, parameters = np.asarray(edges, np.float32), np.asarray([value], np.float32)
    seen, errors = np.zeros(len(edges) - 1, np.float32), np.zeros(len(edges) - 1, np.float32)
    call, pointer = routine("tabint"), lambda array: array.ctypes.data_as(ctypes.c_void_p)
    call.restype = None
    call(pointer(edges), len(edges) - 1, pointer(parameters), 1, path.encode(), 0, kind.encode(), pointer(seen), pointer(errors))
    return seen


write("factor.fits", False)
write("limits.fits", False, LOELIMIT=1.0, HIELIMIT=1.0)
write("photons.fits", True)
edges = np.array([0.3, 0.6, 1.0, 2.0, 5.0, 9.0, 10.0, 12.0])
inside = (edges[:-1] >= LOW) & (edges[1:] <= HIGH)
right = np.where(inside, np.exp(-0.5), 1.0)
print("bins of", edges, "keV, a table from 1 to 9 keV")
print("exp(-0.5) inside, 1 outside:       ", right)
seen = xspec("factor.fits", "exp", edges, 0.5)
print("etable:                            ", seen)
np.testing.assert_allclose(seen, np.where(inside, right, 0.0), rtol=1e-6)
seen = xspec("limits.fits", "exp", edges, 0.5)
print("etable, LOELIMIT = HIELIMIT = 1:   ", seen)
np.testing.assert_allclose(seen, right, rtol=1e-6)
seen = xspec("factor.fits", "mul", edges, 0.5)
print("the same file as mtable (0.5):     ", seen)
np.testing.assert_allclose(seen, np.where(inside, 0.5, 1.0), rtol=1e-6)

for edges in ([0.5, 2.5, 5.0, 8.0, 10.0], [0.99, 2.0, 5.0, 8.0, 9.01]):
    edges = np.array(edges)
    right = np.clip(edges[1:], LOW, HIGH) - np.clip(edges[:-1], LOW, HIGH)
    seen = xspec("photons.fits", "add", edges, 1.0)
    print("bins of", edges, "keV, atable:", seen, "right:", right)
    np.testing.assert_allclose(seen, [0.0, *right[1:]], rtol=1e-5)
PY
(cd "$folder" && "$folder/venv/bin/python" run.py)
