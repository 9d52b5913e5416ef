#!/usr/bin/env python3
"""Compares every component of rontgen, in double and in single precision, with XSPEC's own routines at random parameters.

Not part of CI: it needs XSPEC's libraries (pip install xspectrampoline numpy scipy; 12.15 is what the numbers in docs/components.md are for)
and a module `xspec_lib` that calls them (see --peers). Then

    python tests/compare/xspec_components.py --rontgen target/release/rontgen --peers FOLDER --apec FOLDER [NAME ...]

prints per component the largest relative difference over 14 random parameter sets (fixed seed per component), three grids, and the abundance
tables and cross sections where it depends on them: in bins above 1e-6 of the spectrum's peak, and of the sum over the grid. `--show` adds
the parameters, grid and energy of the worst bin, `--table FILE` writes the table of docs/components.md, `--device` chooses what computes in
single precision (cpu, or a part of an adapter's name). Without names all components are compared.
"""
import argparse
import ctypes
import gzip
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zlib

import numpy as np

ABUNDANCES = ["wilm", "angr", "aspl", "feld", "aneb", "grsa", "lodd", "lpgp", "lpgs"]
CROSS_SECTIONS = ["vern", "bcmc", "obcm"]
SETS = 14
# Bins (or energies) below this share of the peak do not matter.
FLOOR = 1e-6
PLASMA = {"apec", "vapec", "vvapec", "bapec", "bvapec", "bvvapec"}
# What depends on the abundance table, and what on the cross sections too.
ABSORBERS = {"phabs", "zphabs", "pcfabs", "zpcfabs", "vphabs", "zvphabs", "varabs", "zvarabs", "pexrav", "pexmon", "reflect"}
TUEBINGEN = {"tbabs", "ztbabs", "tbgas", "tbgrain", "tbpcf", "tbfeo", "tbvarabs", "tbrel"}
# Convolutions that act on a factor: their input.
ON_FACTORS = {"partcov": ("phabs", [1.0]), "zmshift": ("edge", [3.0, 1.0])}
# The input of the others: a power law and a narrow line.
INPUT = [("powerlaw", "PhoIndex", 1.7), ("powerlaw", "norm", 1.0), ("gaussian", "LineE", 6.4), ("gaussian", "Sigma", 0.01), ("gaussian", "norm", 0.05)]


def grids(single=False):
    """Bin edges in keV: broad bins, fine ones, and equal narrow ones with some of half an eV; rounded to single precision for routines that
    take them so."""
    log = lambda n: 0.1 * 200.0 ** (np.arange(n + 1) / n)
    narrow = np.concatenate([np.arange(0.5, 6.3, 0.0025), np.arange(6.3, 6.6, 0.0005), np.arange(6.6, 10.0, 0.0025)])
    # Dust and reddening act in the ultraviolet.
    uv = lambda n: 0.0008 * 50.0 ** (np.arange(n + 1) / n)
    uvs = {"broad-uv": uv(100), "fine-uv": uv(1500), "linear-uv": np.linspace(0.002, 0.03, 4000)}
    all_grids = {"broad": log(100), "fine": log(1500), "linear": narrow, **uvs}
    return {name: np.float64(np.float32(e)) if single else e for name, e in all_grids.items()}


EXTINCTION = {"zdust", "redden", "uvred"}
# XSPEC's additive components are also asked for parts of each bin, and these summed: it integrates many by the mean of the edges. Not the
# plasmas, which are exact, and diskline, which ends the program on thousands of bins.
PARTS = {"broad": 64, "fine": 8, "linear": 8}


def catalogue(root):
    """XSPEC's model.dat: per component its parameters as (name, default, hard min, soft min, soft max, hard max, kind)."""
    found, current = {}, None
    for line in open(root / "spectral/manager/model.dat"):
        if not line.strip():
            current = None
        elif current is None:
            current = found.setdefault(line.split()[0].lower(), [])
        else:
            text = line.strip()
            mark = text[0] if text[0] in "*$" else ""
            name, rest = text.lstrip("*$").split(None, 1)
            if rest.startswith('"'):
                rest = rest[1:].split('"', 1)[1]
            numbers = []
            for word in rest.split():
                try:
                    numbers.append(float(word))
                except ValueError:
                    pass  # the unit
            if rest.split()[0] == "10^22" and len(numbers) in (1, 6):
                pass
            if mark or len(numbers) < 6:
                current.append((name, numbers[-1] if len(numbers) < 6 else numbers[0], None, None, None, None, mark or "$"))
            else:
                current.append((name, *numbers[:5], ""))
    return found


# Ranges narrower than the soft limits, where these hold energies or columns at which there is nothing to compare: keV, 1e22 cm-2.
# (lo, hi) uniform; (lo, hi, "log"); a list is drawn from.
RANGES = {
    "nh": (1e-3, 30.0, "log"),
    "redshift": None,
    "linee": (0.15, 15.0, "log"),
    "edgee": (0.2, 12.0, "log"),
    "breake": (0.2, 15.0, "log"),
    "breake1": (0.2, 3.0, "log"),
    "breake2": (3.0, 15.0, "log"),
    "pivote": (0.5, 5.0, "log"),
    "cutoffe": (0.05, 20.0, "log"),
    "folde": (0.5, 1e3, "log"),
    "starte": (0.05, 10.0, "log"),
    "ecut": (0.05, 50.0, "log"),
    "lowecut": (0.05, 20.0, "log"),
    "energy": (0.3, 12.0, "log"),
    "highecut": (1.0, 500.0, "log"),
    "abundanc": (0.0, 5.0),
    "velocity": (0.0, 3000.0),
    "rel_refl": (-3.0, 3.0),
    "abund": (0.1, 10.0, "log"),
    "fe_abund": (0.1, 10.0, "log"),
    "halosz": (0.1, 1e3, "log"),
    "ampl": (1e-2, 1e2, "log"),
    "strength": (1e-2, 10.0, "log"),
    "tau": (0.0, 10.0),
    # XSPEC's grains end the program at an index of 4 and above.
    "pl": (0.5, 3.9),
    "amin": (0.005, 0.2),
    "amax": (0.22, 1.0),
    "rin_m": (6.0, 500.0, "log"),
    "rout_m": (600.0, 1e5, "log"),
    "method": [1.0, 2.0, 3.0],
    "inp_type": [0.0, 1.0],
    "e_bmv": (1e-3, 3.0, "log"),
    "ebmv": (1e-3, 3.0, "log"),
    "log_a": (-4.0, 4.0),
    "lg10flux": (-14.0, -8.0),
    "lg10lum": (36.0, 46.0),
    "sig_6kev": (1e-3, 1.0, "log"),
    "z": None,
    "emin": (0.3, 2.0),
    "emax": (3.0, 10.0),
    "flux": (1e-3, 1e3, "log"),
}
SPECIAL = {
    ("vashift", "velocity"): (-1e4, 1e4),
    # Larger shares scattered out leave a factor below zero, which XSPEC goes on with and a run here refuses.
    ("dust", "frac"): (1e-4, 9e-3),
    ("agauss", "linee"): (1.0, 60.0, "log"),
    ("zagauss", "linee"): (1.0, 60.0, "log"),
    ("agauss", "sigma"): (1e-3, 3.0, "log"),
    ("zagauss", "sigma"): (1e-3, 3.0, "log"),
    ("pexmon", "rel_refl"): (-3.0, 3.0),
    ("reflect", "rel_refl"): (-1.0, 3.0),
    ("simpl", "upsconly"): [0.0, 1.0],
    ("compbb", "tau"): (0.0, 10.0),
    # Columns below zero are factors above 1, which no number type holds for long.
    ("tbrel", "nh"): (-0.01, 1.0),
    ("pegpwrlw", "emin"): (0.3, 2.0),
    ("comptt", "approx"): [0.5, 1.5, 2.5, 3.5, 4.5, -0.5, 1.0],
    ("comptb", "kte"): (0.2, 200.0, "log"),
    ("expdec", "factor"): (1e-2, 10.0, "log"),
    ("constant", "factor"): (1e-3, 1e3, "log"),
    ("expfac", "factor"): (1e-2, 30.0, "log"),
    ("diskbb", "tin"): (0.05, 20.0, "log"),
    ("ezdiskbb", "t_max"): (0.05, 20.0, "log"),
}


def draw(rng, component, parameters):
    """One random parameter vector inside the soft limits, rounded to single precision (which some of XSPEC's routines take)."""
    vector = []
    for name, default, _, low, high, _, mark in parameters:
        key = name.lower()
        rule = SPECIAL.get((component, key), RANGES.get(key))
        if mark and rule is None:
            vector.append(default)
            continue
        if key in ("redshift", "z"):
            at_rest, far = rng.random() < 0.3, rng.random() < 0.15
            value = 0.0 if at_rest else rng.uniform(1, 6) if far else rng.uniform(-0.1, 1)
        elif isinstance(rule, list):
            value = rng.choice(rule)
        elif rule is not None:
            value = np.exp(rng.uniform(np.log(rule[0]), np.log(rule[1]))) if len(rule) == 3 else rng.uniform(*rule)
        elif key in ("sigma", "width", "gamma") and low == 0 and component != "smedge":
            # Lines: narrow and wide alike.
            value = np.exp(rng.uniform(np.log(1e-4), np.log(2.0)))
        elif low > 0 and high / low > 30:
            value = np.exp(rng.uniform(np.log(low), np.log(min(high, 100 * max(default, low)))))
        elif component in ("varabs", "zvarabs"):
            # Columns of single elements, in 1e22 cm-2 of hydrogen.
            value = 0.0 if rng.random() < 0.1 else np.exp(rng.uniform(np.log(1e-3), np.log(10.0)))
        elif low == 0 and high >= 1000:
            # Abundances of single elements.
            value = 0.0 if rng.random() < 0.1 else np.exp(rng.uniform(np.log(0.03), np.log(30.0)))
        else:
            value = rng.uniform(low, high)
        if low is not None:
            value = min(max(value, low), high)
        vector.append(float(np.float32(value)))
    return vector


# SciPy is loaded after XSPEC's libraries: the other way round they crash as they start.
def erfc(x):
    from scipy.special import erfc

    return erfc(x)


def voigt_profile(x, sigma, gamma):
    from scipy.special import voigt_profile

    return voigt_profile(x, sigma, gamma)


def normal(a, b):
    """Area of the normal distribution between a and b."""
    tail = np.where(a > 0, 0.5 * (erfc(a / 2**0.5) - erfc(b / 2**0.5)), 0.5 * (erfc(-b / 2**0.5) - erfc(-a / 2**0.5)))
    return np.where((a < 0) & (b > 0), 1 - 0.5 * erfc(-a / 2**0.5) - 0.5 * erfc(b / 2**0.5), tail)


def gauss(edges, centre, sigma):
    """A Gaussian normalised above zero: per bin."""
    u = (edges - centre) / sigma
    return normal(u[:-1], u[1:]) / (1 - 0.5 * erfc(centre / sigma / 2**0.5))


def lorentz(edges, centre, fwhm):
    u = 2 * (edges - centre) / fwhm
    a, b = u[:-1], u[1:]
    area = np.arctan2(b - a, 1 + a * b)
    return area / np.pi / (0.5 + np.arctan(2 * centre / fwhm) / np.pi)


def by_parts(edges, function, features, points=12):
    """Integrals of a smooth function over bins that are divided at the given places: Gauss-Legendre."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    cuts = np.unique(np.concatenate([edges, features[(features > edges[0]) & (features < edges[-1])]]))
    half, middle = 0.5 * np.diff(cuts), 0.5 * (cuts[1:] + cuts[:-1])
    parts = (function(middle[:, None] + half[:, None] * nodes) * weights).sum(axis=1) * half
    return np.add.reduceat(parts, np.searchsorted(cuts, edges[:-1]))


def voigt(edges, centre, sigma, fwhm):
    reach = (sigma + fwhm) * np.concatenate([-np.geomspace(1e-3, 1e4, 200), [0], np.geomspace(1e-3, 1e4, 200)])
    profile = lambda e: voigt_profile(e - centre, sigma, 0.5 * fwhm)
    bins = by_parts(edges, profile, np.sort(centre + reach))
    # The share above zero; beyond 1e4 widths the profile is that of the Lorentzian.
    far = max(1e4 * (sigma + fwhm), 10 * centre)
    below = by_parts(np.array([-far, 0.0]), profile, np.sort(centre + reach))[0]
    return bins / (1 - below - 0.5 + np.arctan(2 * (far + centre) / fwhm) / np.pi)


def shifted(function):
    return lambda edges, *p: function(edges, *[x / (1 + p[-1]) for x in p[:-1]]) / (1 + p[-1])


HC = 12.39841984332


def wavelength(edges, centre, sigma):
    return gauss(HC / edges[::-1], centre, sigma)[::-1]


def redshifted_wavelength(edges, centre, sigma, z):
    return wavelength(edges * (1 + z), centre, sigma) / (1 + z)


def step(edges, centre, sigma):
    features = centre + sigma * np.linspace(-10, 10, 41)
    return by_parts(edges, lambda e: 0.5 * erfc((e - centre) / sigma / 2**0.5), features)


def diskpbb(edges, kt, p):
    """The sum of black bodies over T(r), by Gauss-Legendre in ln(E/T) and ln E; XSPEC's norm."""
    nodes, weights = np.polynomial.legendre.leggauss(300)

    def density(energy):
        x0 = np.log(energy / kt)[..., None]
        top = np.maximum(np.log(60.0), x0 + np.log(1 + 40 / np.exp(x0)))
        half = 0.5 * (top - x0)
        y = x0 + half * (nodes + 1)
        inner = (np.exp(y * 2 / p) / np.expm1(np.exp(y)) * weights).sum(axis=-1) * half[..., 0]
        return 2.78e-3 * 0.75 / p * energy**2 * np.exp(-x0[..., 0] * 2 / p) * inner

    return by_parts(edges, density, np.array([]), 4)


def pegged(edges, index, low, high):
    part = lambda a, b, n: np.log(b / a) if abs(n) < 1e-12 else (b**n - a**n) / n
    flux = part(low, high, 2 - index) * 1.602176634e-9
    return part(edges[:-1], edges[1:], 1 - index) * 1e-12 / flux


# Independent evaluations, where XSPEC cuts wings off or integrates roughly.
EXACT = {
    "gaussian": gauss,
    "zgauss": shifted(gauss),
    "agauss": wavelength,
    "zagauss": redshifted_wavelength,
    "lorentz": lorentz,
    "zlorentz": shifted(lorentz),
    "voigt": voigt,
    "zvoigt": shifted(voigt),
    "step": step,
    "diskpbb": diskpbb,
    "pegpwrlw": pegged,
    "expdec": lambda edges, f: -np.diff(np.exp(-f * edges)) / f,
}


class Rontgen:
    """Runs `rontgen spectrum` for many parameter vectors at once."""

    def __init__(self, program, apec, folder):
        self.program, self.apec, self.folder = program, apec, pathlib.Path(folder)
        self.edges = {}
        for single in (False, True):
            for name, edges in grids(single).items():
                self.edges[single, name] = self.folder / f"{name}-{single}.txt"
                self.edges[single, name].write_text("".join(f"{e!r}\n" for e in map(float, edges)))

    def __call__(self, expression, names, vectors, grid, single, device, abund="wilm", xsect="vern", fixed=()):
        theta, out = self.folder / "theta.csv", self.folder / "out.csv"
        with open(theta, "w") as file:
            file.write(",".join(names) + "\n")
            for vector in vectors:
                file.write(",".join(repr(float(x)) for x in vector) + "\n")
        command = [self.program, "spectrum", expression, "--edges", str(self.edges[single, grid]), "--at", str(theta), "--out", str(out), "--device", device]
        command += ["--abund", abund, "--xsect", xsect]
        for name, value in fixed:
            command += ["--set", f"{name}={value!r}"]
        if self.apec:
            command += ["--atomdb", str(self.apec)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.strip()[-400:])
        return np.loadtxt(out, delimiter=",", skiprows=1, ndmin=2)[:, 2:].T


def compare(component, parameters, kind, xs, rontgen, device, keep):
    """Yields (grid, table, cross sections, parameters, edges, XSPEC's values, the same from parts of each bin, f64, f32), one per spectrum."""
    rng = np.random.default_rng(zlib.crc32(component.encode()))
    vectors = [draw(rng, component, parameters) for _ in range(SETS)]
    names = [f"{component}.{p[0]}" for p in parameters]
    fixed, expression = [], component
    if kind == "mul":
        expression, fixed = f"{component}*powerlaw", [("powerlaw.PhoIndex", 0.0)]
    elif component in ON_FACTORS:
        factor, values = ON_FACTORS[component]
        expression = f"({component}*{factor})*powerlaw"
        fixed = [("powerlaw.PhoIndex", 0.0)]
        fixed += [(f"{factor}.{n}", v) for n, v in zip({"phabs": ["nH"], "edge": ["edgeE", "MaxTau"]}[factor], values)]
    elif kind == "con":
        expression = f"{component}*(powerlaw+gaussian)"
        fixed = [(f"{c}.{p}", v) for c, p, v in INPUT]
    single = xs.MODELS[component]["func"][:2].upper() not in ("C_", "F_")
    for grid, edges in grids(single).items():
        if grid.removesuffix("-uv") not in keep["grids"] or grid.endswith("-uv") != (component in EXTINCTION):
            continue
        parts = PARTS.get(grid, 1) if kind == "add" and component not in PLASMA | {"diskline"} else 1
        finer = np.concatenate([np.linspace(a, b, parts + 1)[:-1] for a, b in zip(edges[:-1], edges[1:])] + [edges[-1:]])
        widths = np.diff(edges)
        for abund in ABUNDANCES if component in ABSORBERS | TUEBINGEN | PLASMA else ["wilm"]:
            for xsect in CROSS_SECTIONS if component in ABSORBERS else ["vern"]:
                if abund not in keep["abund"] or xsect not in keep["xsect"]:
                    continue
                xs.abund(abund)
                xs.xsect(xsect)
                ours = [rontgen(expression, names, vectors, grid, single, d, abund, xsect, fixed) for d in ("f64", device)]
                source = None
                if component in ON_FACTORS:
                    source = xs.call(ON_FACTORS[component][0], edges, ON_FACTORS[component][1])
                elif kind == "con":
                    source = rontgen("powerlaw+gaussian", ["powerlaw.norm"], [[1.0]], grid, single, "f64", fixed=[f for f in fixed if f[0] != "powerlaw.norm"])[0]
                for k, vector in enumerate(vectors):
                    theirs = xs.call(component, edges, vector, flux=source)
                    if component in PLASMA:
                        # XSPEC leaves out lines from outside the grid with their wings: a grid that ends further out has them.
                        wider = np.concatenate([np.geomspace(0.75, 1, 60)[:-1] * edges[0], edges, np.geomspace(1, 1.33, 60)[1:] * edges[-1]])
                        fine = xs.call(component, wider, vector)[59:-59]
                    elif component in EXACT:
                        fine = EXACT[component](edges, *vector)
                    else:
                        fine = theirs if parts == 1 else xs.call(component, finer, vector).reshape(-1, parts).sum(axis=1)
                    scale = widths if kind == "mul" or component in ON_FACTORS else 1.0
                    yield grid, abund, xsect, vector, edges, theirs, fine, ours[0][k] / scale, ours[1][k] / scale


def differences(theirs, mine, edges, kind, finer=None):
    """Largest relative difference in bins that matter, where it is, that of the sum, and the share of bins beyond 1e-3; with
    `finer` in each bin the lesser one of those to both."""
    density = theirs if kind == "mul" else theirs / np.diff(edges)
    size = np.abs(np.where(np.isfinite(density), density, 0))
    matter = (size > FLOOR * size.max()) & (np.abs(theirs) > 1e-35)
    if not matter.any():
        return 0.0, 0, 0.0, 0.0
    relative = np.where(matter, np.abs(mine / np.where(matter, theirs, 1) - 1), 0)
    if finer is not None:
        with np.errstate(all="ignore"):
            relative = np.where(matter, np.fmin(relative, np.abs(mine / np.where(finer != 0, finer, 1e-300) - 1)), 0)
    relative[~np.isfinite(relative)] = np.inf
    at = int(np.argmax(relative))
    total = abs(mine[matter].sum() / theirs[matter].sum() - 1)
    return float(relative[at]), at, float(total), float((relative > 1e-3).sum() / matter.sum())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--rontgen", default="target/release/rontgen")
    parser.add_argument("--peers", default="../shared/peers", help="folder of xspec_lib.py")
    parser.add_argument("--apec", default="../shared/data/apec", help="folder of AtomDB's tables")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--grids", default="broad,fine,linear")
    parser.add_argument("--abund", default=",".join(ABUNDANCES))
    parser.add_argument("--xsect", default=",".join(CROSS_SECTIONS))
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--every", type=float, help="print every spectrum that differs by more than this")
    parser.add_argument("--table", help="file to write the table of docs/components.md to")
    args = parser.parse_args()
    sys.path.insert(0, args.peers)
    # XSPEC writes to standard output as it starts.
    import xspec_lib as xs

    xs.chatter(0)
    # H0, q0 and Lambda, which XSPEC's user sets with `cosmo` and which are nothing here.
    for routine, value in [("csmph0", 70.0), ("csmpq0", 0.0), ("csmpl0", 0.73)]:
        xs._sym(routine)(ctypes.c_float(value))
    parameters = catalogue(xs._root)
    listed = subprocess.run([args.rontgen, "models"], capture_output=True, text=True, check=True).stdout
    listed = re.search(r"^available:\n((?: .*\n)*)", listed).group(1)
    mine = [word.lower() for word in re.findall(r"^ +(\w+)", listed, re.M)]
    wanted = [n.lower() for n in args.names] or [n for n in mine if n in xs.MODELS]
    keep = {"grids": args.grids.split(","), "abund": args.abund.split(","), "xsect": args.xsect.split(",")}
    rows = []
    if len(wanted) > 1:
        # Each by itself: XSPEC's routines may end the program.
        header = True
        for component in wanted:
            with tempfile.NamedTemporaryFile("r", suffix=".md") as table:
                words = [w for w in sys.argv[1:] if w not in args.names] + ["--table", table.name]
                done = subprocess.run([sys.executable, __file__, component, *words], capture_output=True, text=True)
                lines = [l for l in done.stdout.splitlines() if l.startswith((component, "  "))]
                title = [l for l in done.stdout.splitlines() if l.startswith("component ")]
                print("\n".join((title if header else []) + (lines or [f"{component:12} ended: {done.stderr.strip()[-200:]}"])), flush=True)
                header = header and not title
                rows += table.read().splitlines()[2:]
        if args.table:
            pathlib.Path(args.table).write_text("\n".join([TITLE, *rows]) + "\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        if set(wanted) & PLASMA:
            for file in pathlib.Path(args.apec).glob("apec_v*_*.fits.gz"):
                with gzip.open(file) as packed, open(pathlib.Path(folder) / file.stem, "wb") as plain:
                    shutil.copyfileobj(packed, plain)
            stem = next(pathlib.Path(folder).glob("apec_v*_line.fits")).name.removesuffix("_line.fits")
            xs.setting("APECROOT", f"{folder}/{stem}")
        rontgen = Rontgen(args.rontgen, args.apec, folder)
        print(f"{'component':12} {'spectra':>7} " + " ".join(f"{label:>9}" for label in LABELS) + f" {'bins>1e-3':>9}", flush=True)
        for component in wanted:
            try:
                row = one(component, parameters[component], xs, rontgen, args, keep)
            except RuntimeError as error:
                print(f"{component:12} FAILED: {error}", flush=True)
                continue
            rows.append((component, *row))
    if args.table:
        with open(args.table, "w") as file:
            file.write(TITLE + "\n")
            for name, count, *values in rows:
                file.write(f"| {name} | {count} | " + " | ".join(f"{v:.0e}" for v in values) + " |\n")


TITLE = "| component | spectra | f64, worst bin | sum | f32, worst bin | sum | f64, finer bins | f32, finer bins | f32 to f64 |\n|---|---|---|---|---|---|---|---|---|"
LABELS = ["f64 bin", "f64 sum", "f32 bin", "f32 sum", "f64 finer", "f32 finer", "f32-f64"]


def one(component, parameters, xs, rontgen, args, keep):
    kind = xs.MODELS[component]["kind"]
    worst, where, count, share = [0.0] * len(LABELS), [None] * len(LABELS), 0, 0.0
    for grid, abund, xsect, vector, edges, theirs, finer, double, single in compare(component, parameters, kind, xs, rontgen, args.device, keep):
        count += 1
        bin64, at64, sum64, wrong = differences(theirs, double, edges, kind)
        bin32, at32, sum32, _ = differences(theirs, single, edges, kind)
        fine64, atf64, _, wrong = differences(theirs, double, edges, kind, finer)
        fine32, atf32, _, _ = differences(theirs, single, edges, kind, finer)
        noise, atn, _, _ = differences(double, single, edges, kind)
        share = max(share, wrong)
        for k, (value, at) in enumerate([(bin64, at64), (sum64, 0), (bin32, at32), (sum32, 0), (fine64, atf64), (fine32, atf32), (noise, atn)]):
            if value > worst[k] or where[k] is None:
                worst[k] = max(value, worst[k])
                where[k] = (grid, abund, xsect, edges[at], edges[at + 1], theirs[at], finer[at], double[at], single[at], vector)
        if args.every is not None and max(fine64, fine32) > args.every:
            print(f"  {component} {grid} {abund} {xsect} f64 {fine64:.1e} at {edges[atf64]:.5g} (sum {sum64:.1e}, {wrong:.1%} of bins), f32 {fine32:.1e} at {edges[atf32]:.5g}: {shown(parameters, vector)}")
    print(f"{component:12} {count:7} " + " ".join(f"{v:9.1e}" for v in worst) + f" {share:9.1%}", flush=True)
    if args.show:
        for label, place in zip(LABELS, where):
            grid, abund, xsect, lo, hi, theirs, finer, double, single, vector = place
            print(f"    {label}: {grid} {abund} {xsect} {lo:.6g}-{hi:.6g} keV XSPEC {theirs:.6e} finer {finer:.6e} f64 {double:.6e} f32 {single:.6e}: {shown(parameters, vector)}", flush=True)
    return count, *worst


def shown(parameters, vector):
    usual = [(p[0], v) for p, v in zip(parameters, vector) if len(vector) < 8 or v != p[1]]
    return " ".join(f"{n}={v:.6g}" for n, v in usual)


if __name__ == "__main__":
    main()
