"""Cuts the excerpt of AtomDB 3.0.8 in this folder.  usage: make_excerpt.py FOLDER_WITH_apec_v3.0.8_*.fits.gz"""
import sys

import numpy as np
from astropy.io import fits

NODES = [20, 29, 36, 37]  # 0.0862, 0.6845, 3.4306, 4.3189 keV
KEPT = [1, 2, 6, 8, 14, 26]  # elements that keep their continua; of them the lines above FAINTEST
FAINTEST = 2e-19

source = sys.argv[1] + "/apec_v3.0.8_"
for kind in ("line", "coco"):
    old = fits.open(source + kind + ".fits.gz")
    primary = fits.PrimaryHDU()
    primary.header["COMMENT"] = "Excerpt of AtomDB 3.0.8 (www.atomdb.org) for tests: four temperatures, six elements."
    new = fits.HDUList([primary, fits.BinTableHDU(old[1].data[NODES], header=old[1].header, name="PARAMETERS")])
    for n in NODES:
        rows = old[n + 2].data
        if kind == "line":
            keep = np.isin(rows["Element"], KEPT) & (rows["Epsilon"] > FAINTEST) & (rows["Lambda"] < 60)
            names = ("Lambda", "Epsilon", "Element", "Ion")
            columns = [fits.Column(c, old[n + 2].columns[c].format, old[n + 2].columns[c].unit, array=rows[keep][c]) for c in names]
        else:
            # One row of a single ion, too, which a reader must leave out.
            keep = (rows["rmJ"] == 0) & np.isin(rows["Z"], KEPT)
            rows = rows[keep]
            ions = rows.copy()[-1:]
            ions["rmJ"] = 5
            rows = np.concatenate([rows, ions])
            columns = [fits.Column(c, "1J", array=rows[c]) for c in ("Z", "rmJ")]
            for count, energy, density in (("N_Cont", "E_Cont", "Continuum"), ("N_Pseudo", "E_Pseudo", "Pseudo")):
                valid = rows[count].copy()
                wide = int(valid.max()) + 3 if count == "N_Cont" else 60
                x, y = np.zeros((len(rows), wide)), np.zeros((len(rows), wide))
                for r in range(len(rows)):
                    at = np.arange(valid[r])
                    at = at[rows[energy][r][at] > 0.2] if count == "N_Pseudo" else at
                    at = at[np.unique(np.linspace(0, len(at) - 1, min(len(at), wide)).astype(int))] if len(at) else at
                    valid[r] = len(at)
                    x[r, : len(at)], y[r, : len(at)] = rows[energy][r][at], rows[density][r][at]
                    # Beyond the valid ones there is rubbish in the originals, too.
                    y[r, len(at) :] = 9e9
                columns += [
                    fits.Column(count, "1J", array=valid),
                    fits.Column(energy, f"{wide}E", "keV", array=x),
                    fits.Column(density, f"{wide}E", "photons cm^3 s^-1 keV^-1", array=y),
                ]
        new.append(fits.BinTableHDU.from_columns(columns, name="EMISSIVITY"))
        print(kind, n, len(new[-1].data))
    new.writeto(f"apec_v3.0.8_{kind}.fits.gz", overwrite=True)
