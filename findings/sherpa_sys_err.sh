#!/usr/bin/env bash
# SYS_ERR of an OGIP spectrum is a fraction by its definition (OGIP/92-007); Sherpa (package 4.19.0) takes the number for counts. Read with
# use_errors=True, a systematic error of 5 % on 10 000 counts is one of 0.05 counts: the error is 100.00001 in place of sqrt(100^2 + 500^2) = 509.9, so that the
# systematic error is gone without a word, whether it stands in a column or a keyword, with COUNTS or RATE. Sherpa's own
# set_syserror(0.05, fractional=True) gives 509.9. What is lost is what dominates bright spectra: a model that is 5 % off at 10 000 counts has chi2 25, and should have 0.96.
#
# The script installs the packages in a temporary folder, writes small valid spectra, reads them without rontgen, and fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3.11 python3.12 python3.13 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[123].*/bin/python; do
  "$python" -c 'import venv' 2>/dev/null && break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet sherpa==4.19.0 astropy==8.0.2 numpy==2.4.6
cat > "$folder/run.py" <<'PY'
import logging

import numpy as np
from astropy.io import fits

logging.disable(logging.CRITICAL)
import sherpa
from sherpa.astro import ui

np.set_printoptions(linewidth=200, suppress=True, precision=5)
COUNTS, SYSTEMATIC, SECONDS = np.array([100, 1000, 10_000, 100_000]), 0.05, 1000.0
N = len(COUNTS)
KEYS = {"TELESCOP": "TEST", "INSTRUME": "TEST", "FILTER": "NONE", "CHANTYPE": "PI", "DETCHANS": N, "HDUCLASS": "OGIP", "HDUCLAS1": "SPECTRUM", "HDUCLAS2": "TOTAL",
        "HDUVERS": "1.2.1", "EXPOSURE": SECONDS, "CORRFILE": "none", "CORRSCAL": 1.0, "RESPFILE": "none", "ANCRFILE": "none", "BACKFILE": "none", "AREASCAL": 1.0,
        "BACKSCAL": 1.0, "QUALITY": 0, "GROUPING": 0, "TLMIN1": 1, "TLMAX1": N}


def write(path, columns, **keys):
    columns = [("CHANNEL", "I", None, np.arange(1, N + 1)), *columns]
    hdu = fits.BinTableHDU.from_columns([fits.Column(n, f, unit=u, array=a) for n, f, u, a in columns], name="SPECTRUM")
    hdu.header.update({**KEYS, **keys})
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)


counts, systematic = ("COUNTS", "J", "count", COUNTS), ("SYS_ERR", "E", None, np.full(N, SYSTEMATIC))
rate, error = ("RATE", "E", "count/s", COUNTS / SECONDS), ("STAT_ERR", "E", "count/s", np.sqrt(COUNTS) / SECONDS)
write("column.pha", [counts, systematic], HDUCLAS3="COUNT", POISSERR=True)
write("keyword.pha", [counts], HDUCLAS3="COUNT", POISSERR=True, SYS_ERR=SYSTEMATIC)
write("rate.pha", [rate, error, systematic], HDUCLAS3="RATE", POISSERR=False)

right = np.hypot(np.sqrt(COUNTS), SYSTEMATIC * COUNTS)
print(f"Sherpa {sherpa.__version__}, errors of {COUNTS} counts with SYS_ERR {SYSTEMATIC}")
print("right:      ", right)
ui.set_stat("chi2datavar")
for path in ("column.pha", "keyword.pha", "rate.pha"):
    ui.load_pha(1, path, use_errors=True)
    seen = ui.get_error(1)
    print(f"{path:12}", seen)
    np.testing.assert_allclose(ui.get_syserror(1), SYSTEMATIC, rtol=1e-6)
    np.testing.assert_allclose(seen, np.hypot(np.sqrt(COUNTS), SYSTEMATIC), rtol=1e-6)

ui.load_pha(1, "column.pha", use_errors=True)
chi2 = []
for _ in range(2):
    chi2.append(((1.05 * COUNTS[2] - COUNTS[2]) / ui.get_error(1)[2]) ** 2)
    ui.set_syserror(1, SYSTEMATIC, fractional=True)
print("set_syserror", ui.get_error(1))
print("chi2 of a model 5 % above 10000 counts, from the file and from set_syserror:", np.array(chi2))
np.testing.assert_allclose(ui.get_error(1), right, rtol=1e-6)
PY
(cd "$folder" && "$folder/venv/bin/python" run.py 2>"$folder/err") || { cat "$folder/err"; exit 1; }
