#!/usr/bin/env bash
# soxs (package 5.3.0), which simulates spectra and events, divides every row of a response matrix by its sum. An RMF that holds a part of the
# efficiency, as CAL/GEN/92-002 allows (HDUCLAS3 = DETECTOR), loses it without a word, and the spectrum has too many counts where the detector is weak: with rows that add
# up to 1, 0.9, ... 0.1 a flat spectrum has the counts of rows of 1 in each channel, ten times too many in the last. Sherpa 4.19 folds the same two files as the formula
# says: exposure times flux times area times matrix. Simulated events keep all photons in the same way. Such matrices are common: rows of Chandra's HETG (aciss_meg1_cy22)
# add up to 0.88 to 0.95, NICER's (rmf6s, array50) to 0.82 at 0.3 keV. And a row of zeros, of which Swift XRT's (swxpc0to12s6_20130101v014) has 243, makes
# NaN of all channels that the row is written for: of that file, of the whole spectrum.
#
# The script installs the packages in a temporary folder, writes small valid files, folds them without rontgen, and fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3.11 python3.12 python3.13 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[123].*/bin/python; do
  "$python" -c 'import venv' 2>/dev/null && break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet soxs==5.3.0 sherpa==4.19.0 astropy==8.0.2 numpy==2.4.6 scipy==1.17.1
cat > "$folder/run.py" <<'PY'
import logging
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
import numpy as np
import soxs
from astropy.io import fits
from sherpa.astro import io

np.set_printoptions(linewidth=200, suppress=True)
N, AREA, SECONDS = 8, 100.0, 1000.0
EDGES = np.linspace(1.0, 9.0, N + 1)
SUMS = np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.25, 0.1])
COMMON = {"TELESCOP": "TEST", "INSTRUME": "TEST", "FILTER": "NONE", "CHANTYPE": "PI", "DETCHANS": N, "HDUCLASS": "OGIP", "HDUCLAS1": "RESPONSE"}


def table(name, columns, keys):
    hdu = fits.BinTableHDU.from_columns([fits.Column(n, f, unit=u, array=a) for n, f, u, a in columns], name=name)
    hdu.header.update({**COMMON, **keys})
    return hdu


def write(path, *tables):
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(path, overwrite=True)


energies = [("ENERG_LO", "E", "keV", EDGES[:-1]), ("ENERG_HI", "E", "keV", EDGES[1:])]
write("t.arf", table("SPECRESP", [*energies, ("SPECRESP", "E", "cm**2", np.full(N, AREA))], {"HDUCLAS2": "SPECRESP", "HDUVERS": "1.1.0"}))
one = np.ones(N, dtype=int)
channels = [("CHANNEL", "I", None, np.arange(1, N + 1)), ("E_MIN", "E", "keV", EDGES[:-1]), ("E_MAX", "E", "keV", EDGES[1:])]
groups = [("N_GRP", "I", None, one), ("F_CHAN", "I", None, one), ("N_CHAN", "I", None, N * one)]


def response(path, sums):
    keys = {"HDUCLAS2": "RSP_MATRIX", "HDUCLAS3": "DETECTOR", "HDUVERS": "1.3.0", "LO_THRES": 0.0, "TLMIN4": 1, "TLMAX4": N}
    write(path, table("MATRIX", [*energies, *groups, ("MATRIX", f"{N}E", None, np.diag(sums))], keys), table("EBOUNDS", channels, {"HDUCLAS2": "EBOUNDS", "HDUVERS": "1.2.0"}))


response("t.rmf", SUMS)

photons = np.diff(EDGES)  # 1 photon/cm2/s/keV
right = SECONDS * AREA * photons * SUMS
area, matrix = io.read_arf("t.arf"), io.read_rmf("t.rmf")
sherpa = SECONDS * matrix.apply_rmf(area.apply_arf(photons))
flat = soxs.Spectrum.from_constant(1.0, 0.5, 10.0, 950)
soxs.simulate_spectrum(flat, ("t.arf", "t.rmf"), SECONDS, "t.pha", noisy=False)
seen = fits.getdata("t.pha", "SPECTRUM")["COUNTS"]
print(f"soxs {soxs.__version__}, counts of 1 photon/cm2/s/keV in {AREA:.0f} cm2 and {SECONDS:.0f} s; rows of the matrix add up to", SUMS)
print("right: ", right)
print("Sherpa:", sherpa)
print("soxs:  ", seen)
np.testing.assert_allclose(sherpa, right, rtol=1e-6)
np.testing.assert_allclose(seen, right / SUMS, rtol=1e-6)

events = {"energy": np.full(10_000, 8.5)}
soxs.RedistributionMatrixFile("t.rmf").scatter_energies(events, prng=1)
print("of 10000 photons of 8.5 keV, where the matrix keeps a tenth, soxs detects", len(events["PI"]))
assert len(events["PI"]) == 10_000

threshold = np.where(np.arange(N) == 0, 0.0, SUMS)
response("zero.rmf", threshold)
right, seen = io.read_rmf("zero.rmf").apply_rmf(photons), soxs.RedistributionMatrixFile("zero.rmf").convolve_spectrum(photons, 1.0, noisy=False)
print("the first row zero, 1 photon in each bin; Sherpa:", right, "soxs:", seen)
np.testing.assert_allclose(right, threshold, rtol=1e-6)
assert np.isnan(seen).all()
PY
(cd "$folder" && HOME=$folder "$folder/venv/bin/python" run.py 2>"$folder/err") || { cat "$folder/err"; exit 1; }
