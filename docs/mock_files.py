"""Mock spectra, responses, areas and backgrounds for the commands of the guides: `python docs/mock_files.py FOLDER [PROGRAM]`.

Two made-up cameras, `pn` and `mos`, saw one source: a black body of 0.9 keV and a power law of index 1.8 behind
nH 0.15e22 cm-2; `mos` measures 5 % more than there is. Needs astropy, and `rontgen` on the path (or PROGRAM).
"""

import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits

EXPRESSION = "tbabs*(bbodyrad+powerlaw)"
SOURCE = {"tbabs.nH": 0.15, "bbodyrad.kT": 0.9, "bbodyrad.norm": 0.2, "powerlaw.PhoIndex": 1.8, "powerlaw.norm": 2e-4}
EXPOSURE = 2e4  # s
ENERGIES = np.geomspace(0.2, 12.0, 801)  # keV


def table(name: str, columns: list[fits.Column], **keywords) -> fits.BinTableHDU:
    hdu = fits.BinTableHDU.from_columns(columns, name=name)
    hdu.header.update({"TELESCOP": "MOCK", "HDUCLASS": "OGIP", **keywords})
    return hdu


def photons(program: str) -> np.ndarray:
    """The source in photons/cm2/s in each bin of ENERGIES, as `rontgen spectrum` computes it."""
    with tempfile.TemporaryDirectory() as folder:
        edges, out = Path(folder, "edges.txt"), Path(folder, "model.csv")
        np.savetxt(edges, ENERGIES)
        values = [word for name, value in SOURCE.items() for word in ("--set", f"{name}={value}")]
        subprocess.run([program, "spectrum", EXPRESSION, *values, "--edges", edges, "--out", out], check=True)
        return np.loadtxt(out, delimiter=",", skiprows=1)[:, 2]


def camera(folder: Path, name: str, source: np.ndarray, channels: int, area: float, rate: float) -> None:
    """The files of a camera whose largest area is `area` cm2, and which sees `rate` background counts/s in ten times the source's region."""
    middle = np.sqrt(ENERGIES[:-1] * ENERGIES[1:])
    bounds = np.linspace(0.2, 12.0, channels + 1)
    sigma = 0.03 * np.sqrt(middle)
    cumulative = 0.5 * (1.0 + np.vectorize(math.erf)((bounds[None, :] - middle[:, None]) / (sigma[:, None] * math.sqrt(2.0))))
    matrix = np.diff(cumulative, axis=1)
    matrix /= matrix.sum(axis=1, keepdims=True)
    effective = area * np.exp(-0.5 * (np.log(middle / 1.5) / 0.9) ** 2)
    common = {"INSTRUME": name.upper(), "FILTER": "none"}
    grid = [fits.Column("ENERG_LO", "E", "keV", array=ENERGIES[:-1]), fits.Column("ENERG_HI", "E", "keV", array=ENERGIES[1:])]
    rows = np.ones(middle.size, dtype=np.int16)
    redistribution = table(
        "MATRIX",
        [
            *grid,
            fits.Column("N_GRP", "I", array=rows),
            fits.Column("F_CHAN", "I", array=rows),
            fits.Column("N_CHAN", "I", array=rows * channels),
            fits.Column("MATRIX", f"{channels}E", array=matrix),
        ],
        HDUCLAS1="RESPONSE", HDUCLAS2="RSP_MATRIX", HDUCLAS3="REDIST", DETCHANS=channels, TLMIN4=1, CHANTYPE="PI", **common,
    )  # fmt: skip
    number = np.arange(1, channels + 1)
    ebounds = table(
        "EBOUNDS",
        [fits.Column("CHANNEL", "I", array=number), fits.Column("E_MIN", "E", "keV", array=bounds[:-1]), fits.Column("E_MAX", "E", "keV", array=bounds[1:])],
        HDUCLAS1="RESPONSE", HDUCLAS2="EBOUNDS", DETCHANS=channels, CHANTYPE="PI", **common,
    )  # fmt: skip
    fits.HDUList([fits.PrimaryHDU(), redistribution, ebounds]).writeto(folder / f"{name}.rmf", overwrite=True)
    arf = table("SPECRESP", [*grid, fits.Column("SPECRESP", "E", "cm**2", array=effective)], HDUCLAS1="RESPONSE", HDUCLAS2="SPECRESP", **common)
    fits.HDUList([fits.PrimaryHDU(), arf]).writeto(folder / f"{name}.arf", overwrite=True)
    shape = np.diff(np.log(bounds))  # a photon index of 1
    background = rate * EXPOSURE * shape / shape.sum()
    random = np.random.default_rng(3000 + channels)
    for part, expected, region in [("TOTAL", (source * effective) @ matrix * EXPOSURE + 0.1 * background, 1.0), ("BKG", background, 10.0)]:
        files = {"RESPFILE": f"{name}.rmf", "ANCRFILE": f"{name}.arf", "BACKFILE": f"{name}_bkg.pha"} if part == "TOTAL" else {}
        spectrum = table(
            "SPECTRUM",
            [fits.Column("CHANNEL", "I", array=number), fits.Column("COUNTS", "J", "count", array=random.poisson(expected))],
            HDUCLAS1="SPECTRUM", HDUCLAS2=part, HDUCLAS3="COUNT", EXPOSURE=EXPOSURE, BACKSCAL=region, AREASCAL=1.0, POISSERR=True,
            DETCHANS=channels, CHANTYPE="PI", GROUPING=0, QUALITY=0, **common, **files,
        )  # fmt: skip
        fits.HDUList([fits.PrimaryHDU(), spectrum]).writeto(folder / f"{name}{'_bkg' if part == 'BKG' else ''}.pha", overwrite=True)


def write(folder: Path, program: str = "rontgen") -> None:
    """The files of both cameras."""
    folder.mkdir(parents=True, exist_ok=True)
    source = photons(program)
    camera(folder, "pn", source, 400, 1000.0, 0.05)
    camera(folder, "mos", 1.05 * source, 300, 400.0, 0.02)


if __name__ == "__main__":
    write(Path(sys.argv[1]), *sys.argv[2:3])
