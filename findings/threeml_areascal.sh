#!/usr/bin/env bash
# OGIP spectra in threeML (packages threeML 2.6.1 with astromodels 2.5.1, Python 3.10): AREASCAL, the fraction of the effective area that a channel has,
# is ignored without a word, as keyword and as column, in the source's file and in the background's. Gratings and XMM's RGS use the column; XSPEC, Sherpa 4.19 and
# jaxspec 0.4 multiply what they expect by it. A source with AREASCAL 0.5 is expected to have the counts of one with 1 (twice too many: a norm half as large), and a
# background with AREASCAL 0.5 has the scale of one with 1. GROUPING is ignored in the same way (a spectrum of four groups is eight bins), while QUALITY is respected; and a
# BACKSCAL column, which OGIP/92-007 allows, is an error, "not a proper PHA file".
#
# The script installs the packages in a temporary folder, writes small valid files, reads them without rontgen, and fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3.10 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.10.*/bin/python; do
  "$python" -c 'import venv' 2>/dev/null && break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet threeML==2.6.1 astromodels==2.5.1 numpy==2.2.6 astropy==6.1.7 "setuptools<80"
cat > "$folder/run.py" <<'PY'
import logging
import warnings

warnings.filterwarnings("ignore")
import numpy as np
from astropy.io import fits
from astromodels import Model, PointSource, Powerlaw
from threeML import OGIPLike

logging.disable(logging.CRITICAL)
N, EDGES = 8, np.linspace(1.0, 9.0, 9)
COUNTS = np.array([10, 20, 30, 40, 30, 20, 10, 5])
COMMON = {"TELESCOP": "TEST", "INSTRUME": "TEST", "FILTER": "NONE", "CHANTYPE": "PI", "DETCHANS": N, "HDUCLASS": "OGIP"}


def table(name, columns, keys):
    hdu = fits.BinTableHDU.from_columns([fits.Column(n, f, unit=u, array=a) for n, f, u, a in columns], name=name)
    hdu.header.update({**COMMON, **keys})
    return hdu


def write(path, *tables):
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(path, overwrite=True)


def spectrum(path, counts, **more):
    """AREASCAL, BACKSCAL, QUALITY, GROUPING: a number is a keyword, an array a column."""
    keys = {"EXPOSURE": 1000.0, "CORRFILE": "none", "CORRSCAL": 1.0, "RESPFILE": "t.rmf", "ANCRFILE": "t.arf", "BACKFILE": "none", "SYS_ERR": 0, "HDUCLAS1": "SPECTRUM",
            "HDUCLAS2": "TOTAL", "HDUCLAS3": "COUNT", "HDUVERS": "1.2.1", "POISSERR": True, "TLMIN1": 1, "TLMAX1": N}
    columns = [("CHANNEL", "I", None, np.arange(1, N + 1)), ("COUNTS", "J", "count", counts)]
    for key, value in {"AREASCAL": 1.0, "BACKSCAL": 1.0, "QUALITY": 0, "GROUPING": 0, **more}.items():
        if np.ndim(value):
            columns.append((key, "E" if key.endswith("SCAL") else "I", None, value))
        else:
            keys[key] = value
    write(path, table("SPECTRUM", columns, keys))


energies = [("ENERG_LO", "E", "keV", EDGES[:-1]), ("ENERG_HI", "E", "keV", EDGES[1:])]
write("t.arf", table("SPECRESP", [*energies, ("SPECRESP", "E", "cm**2", np.full(N, 100.0))], {"HDUCLAS1": "RESPONSE", "HDUCLAS2": "SPECRESP", "HDUVERS": "1.1.0"}))
one = np.ones(N, dtype=int)
write(
    "t.rmf",
    table("MATRIX", [*energies, ("N_GRP", "I", None, one), ("F_CHAN", "I", None, one), ("N_CHAN", "I", None, N * one), ("MATRIX", f"{N}E", None, np.eye(N))],
          {"HDUCLAS1": "RESPONSE", "HDUCLAS2": "RSP_MATRIX", "HDUCLAS3": "REDIST", "HDUVERS": "1.3.0", "LO_THRES": 0.0, "TLMIN4": 1, "TLMAX4": N}),
    table("EBOUNDS", [("CHANNEL", "I", None, np.arange(1, N + 1)), ("E_MIN", "E", "keV", EDGES[:-1]), ("E_MAX", "E", "keV", EDGES[1:])],
          {"HDUCLAS1": "RESPONSE", "HDUCLAS2": "EBOUNDS", "HDUVERS": "1.2.0"}),
)


def expected(path):
    """What threeML expects of one photon/cm2/s/keV, and the plugin."""
    plugin = OGIPLike("a", path, response="t.rmf", arf_file="t.arf", verbose=False)
    flat = Powerlaw()
    flat.K, flat.index = 1.0, 0.0
    plugin.set_model(Model(PointSource("s", 0, 0, spectral_shape=flat)))
    return plugin.expected_model_rate * plugin.exposure, plugin


spectrum("a.pha", COUNTS)
plain = expected("a.pha")[0]
print("1 photon/cm2/s/keV, 100 cm2, 1000 s:", plain[:3])
np.testing.assert_allclose(plain, 1e5, rtol=1e-6)
spectrum("a.pha", COUNTS, AREASCAL=0.5)
print("AREASCAL 0.5 (5e4 are right):", expected("a.pha")[0][:3])
assert (expected("a.pha")[0] == plain).all()
spectrum("a.pha", COUNTS, AREASCAL=np.linspace(0.5, 1.0, N))
print("AREASCAL column from 0.5 to 1:", expected("a.pha")[0][:3])
assert (expected("a.pha")[0] == plain).all()

scales = []
for area in (1.0, 0.5):
    spectrum("b.pha", COUNTS * 3, BACKSCAL=4.0, EXPOSURE=2000.0, AREASCAL=area)
    spectrum("a.pha", COUNTS, BACKSCAL=2.0, BACKFILE="b.pha")
    scales.append(expected("a.pha")[1].scale_factor)
print("scale of a background with AREASCAL 1 and 0.5 (0.25 and 0.5 are right):", scales)
assert scales == [0.25, 0.25]

spectrum("a.pha", COUNTS, GROUPING=np.array([1, -1, 1, -1, 1, -1, 1, -1]), QUALITY=np.array([0, 0, 0, 0, 0, 0, 5, 0]))
plugin = expected("a.pha")[1]
print("four groups, one channel bad:", plugin.observed_counts, plugin.mask)
assert len(plugin.observed_counts) == 8 and plugin.mask.sum() == 7

spectrum("a.pha", COUNTS, BACKSCAL=np.linspace(1.0, 2.0, N), BACKFILE="b.pha")
try:
    expected("a.pha")
    raise SystemExit("a BACKSCAL column is read")
except RuntimeError as error:
    print("BACKSCAL column:", type(error).__name__)
PY
(cd "$folder" && "$folder/venv/bin/python" run.py 2>&1)
