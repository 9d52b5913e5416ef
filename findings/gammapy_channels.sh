#!/usr/bin/env bash
# OGIP files in Gammapy (package 2.1): two things that its own files never show.
#
#   F_CHAN     counts from the first channel of the file, which TLMIN tells (CAL/GEN/92-002; 1 if it does not). Gammapy counts from 0 whatever TLMIN says: a matrix with
#              channels from 1, as Chandra ACIS's, is read one channel (14.6 eV) too high without a word. A row that has the last channel alone loses it, its photons are gone; a longer
#              group that ends there is an error of broadcasting. The same matrix with channels from 0, as XMM pn's, is read right. Where F_CHAN is a plain
#              number, as in files with one group a row (XMM MOS, Swift, Fermi GBM), the matrix is an error, "invalid index to scalar variable".
#   EXPOSURE   of the background's file is not read: the background is scaled by the ratio of BACKSCAL alone. Twice BACKSCAL for three times the exposure is 1/6 of its
#              counts (OGIP/92-007), Gammapy takes 1/2. Blank-sky backgrounds are many times as long as an observation, and are subtracted as many times too strongly.
#
# The script installs the packages in a temporary folder, writes small valid files, reads them without rontgen, and fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3.11 python3.12 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[12].*/bin/python; do
  "$python" -c 'import venv' 2>/dev/null && break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet gammapy==2.1 regions==0.11 astropy==7.1.1 numpy==2.2.6 scipy==1.15.3
cat > "$folder/run.py" <<'PY'
import warnings

warnings.filterwarnings("ignore")
import gammapy
import numpy as np
from astropy.io import fits
from gammapy.datasets import SpectrumDatasetOnOff
from gammapy.irf import EDispKernel
from gammapy.modeling.models import PowerLawSpectralModel, SkyModel

np.set_printoptions(linewidth=200, suppress=True)
N, EDGES = 8, np.linspace(1.0, 9.0, 9)
COMMON = {"TELESCOP": "TEST", "INSTRUME": "TEST", "FILTER": "NONE", "CHANTYPE": "PI", "DETCHANS": N, "HDUCLASS": "OGIP"}
ENERGIES = [("ENERG_LO", "E", "keV", EDGES[:-1]), ("ENERG_HI", "E", "keV", EDGES[1:])]
ONE = np.ones(N, dtype=int)


def table(name, columns, keys):
    hdu = fits.BinTableHDU.from_columns([fits.Column(n, f, unit=u, array=a) for n, f, u, a in columns], name=name)
    hdu.header.update({**COMMON, **keys})
    return hdu


def write(path, *tables):
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(path, overwrite=True)


def bounds(first):
    columns = [("CHANNEL", "I", None, first + np.arange(N)), ("E_MIN", "E", "keV", EDGES[:-1]), ("E_MAX", "E", "keV", EDGES[1:])]
    return table("EBOUNDS", columns, {"HDUCLAS1": "RESPONSE", "HDUCLAS2": "EBOUNDS", "HDUVERS": "1.2.0"})


def response(first, rows, plain=False):
    """Each of the rows is the place of its first channel, from 0, and its values; one group a row, in columns of variable length as Chandra's, or plain ones."""
    def variable(values, kind):
        column = np.empty(N, dtype=object)
        column[:] = [np.atleast_1d(np.asarray(v, dtype=kind)) for v in values]
        return column

    starts, lengths = [first + start for start, _ in rows], [len(values) for _, values in rows]
    groups = [("F_CHAN", "I", None, starts), ("N_CHAN", "I", None, lengths)]
    if not plain:
        groups = [("F_CHAN", "PI(1)", None, variable(starts, "i2")), ("N_CHAN", "PI(1)", None, variable(lengths, "i2"))]
    columns = [*ENERGIES, ("N_GRP", "I", None, ONE), *groups, ("MATRIX", "PE(3)", None, variable([values for _, values in rows], "f4"))]
    keys = {"HDUCLAS1": "RESPONSE", "HDUCLAS2": "RSP_MATRIX", "HDUCLAS3": "REDIST", "HDUVERS": "1.3.0", "LO_THRES": 0.0, "TLMIN4": first, "TLMAX4": first + N - 1}
    write("t.rmf", table("MATRIX", columns, keys), bounds(first))


def spectrum(path, counts, **keys):
    columns = [("CHANNEL", "I", None, 1 + np.arange(N)), ("COUNTS", "J", "count", counts), ("QUALITY", "I", None, 0 * ONE),
               ("BACKSCAL", "E", None, np.full(N, keys.pop("BACKSCAL")))]
    keys = {"EXPOSURE": 1000.0, "CORRFILE": "none", "CORRSCAL": 1.0, "RESPFILE": "t.rmf", "ANCRFILE": "t.arf", "AREASCAL": 1.0, "SYS_ERR": 0, "GROUPING": 0,
            "HDUCLAS1": "SPECTRUM", "HDUCLAS2": "TOTAL", "HDUCLAS3": "COUNT", "HDUVERS": "1.2.1", "POISSERR": True, "OBS_ID": "1", "TLMIN1": 1, "TLMAX1": N, **keys}
    write(path, table("SPECTRUM", columns, keys), bounds(1))


peak = [0.25, 0.5, 0.25]
inside = [(max(k - 1, 0), peak[1:] if k == 0 else peak) for k in range(N - 2)] + [(N - 3, peak[:2]), (N - 3, peak[:2])]
full = np.zeros((N, N))
for k, (start, values) in enumerate(inside):
    full[k, start:start + len(values)] = values
print(f"gammapy {gammapy.__version__}")
for first in (0, 1):
    response(first, inside)
    seen = EDispKernel.read("t.rmf").data
    print(f"channels from {first}: the row of 3 to 4 keV is", seen[2], "right:", full[2])
    np.testing.assert_allclose(seen, full if first == 0 else np.hstack([np.zeros((N, 1)), full[:, :-1]]))

response(1, [(k, [1.0]) for k in range(N)])
seen = EDispKernel.read("t.rmf").data
print("channels from 1, diagonal: the rows add up to", seen.sum(axis=1), "and peak in", seen.argmax(axis=1)[:-1])
assert (seen == np.eye(N, k=1)).all()
write("t.arf", table("SPECRESP", [*ENERGIES, ("SPECRESP", "E", "cm**2", np.full(N, 100.0))], {"HDUCLAS1": "RESPONSE", "HDUCLAS2": "SPECRESP", "HDUVERS": "1.1.0"}))
spectrum("b.pha", np.full(N, 60), BACKSCAL=4.0, EXPOSURE=3000.0)
spectrum("s.pha", np.full(N, 30), BACKSCAL=2.0, BACKFILE="b.pha")
data = SpectrumDatasetOnOff.read("s.pha")
data.models = [SkyModel(PowerLawSpectralModel(index=0, amplitude="1 cm-2 s-1 keV-1", reference="1 keV"))]
expected = data.npred_signal().data.ravel()
print("1 photon/cm2/s/keV, 100 cm2, 1000 s (1e5 in each are right):", expected)
np.testing.assert_allclose(expected, [0.0] + [1e5] * (N - 1), rtol=1e-6)
for name, wrong, *form in [("a longer group that ends in the last channel", ValueError, 1, [(k, [1.0]) for k in range(N - 1)] + [(N - 2, [0.5, 0.5])]),
                           ("channels from 0, F_CHAN a plain number", IndexError, 0, inside, True)]:
    response(*form)
    try:
        EDispKernel.read("t.rmf")
        raise SystemExit(f"{name} is read")
    except wrong as error:
        print(f"{name}: {error}")

scale, left = data.alpha.data.ravel(), data.excess.data.ravel()
print("scale of a background with twice BACKSCAL and three times the exposure (1/6 is right):", scale[0])
print("counts above background of 30 counts and 60 in the background's file (20 are right):", left[0])
assert (scale == 0.5).all() and (left == 0.0).all()
PY
(cd "$folder" && HOME=$folder "$folder/venv/bin/python" run.py 2>"$folder/err") || { cat "$folder/err"; exit 1; }
