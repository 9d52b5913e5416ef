"""Makes fine_bins.json: XSPEC's numbers, and quadratures of the published formulas, in single bins of fine grids.

python make_fine_bins.py FOLDER APECROOT: FOLDER holds xspec_lib.py (a thin wrapper of XSPEC's own routines), APECROOT as XSPEC's.
"""
import json
import pathlib
import sys

import numpy as np

sys.path.insert(0, sys.argv[1])
import xspec_lib as xs  # noqa: E402

xs.chatter(0)
xs.abund("angr")
xs.setting("APECROOT", sys.argv[2])
out = []


def grid(lo, hi, n, linear):
    return np.linspace(lo, hi, n + 1) if linear else lo * (hi / lo) ** (np.arange(n + 1) / n)


def keep(what, expression, parameters, place, values, bins, tolerance):
    bins = [b for b in bins if what == "xspec" or values[b] > 1e-3 * values.max()]
    out.append(dict(what=what, expression=expression, set=parameters, grid=dict(zip(("lo", "hi", "n", "linear"), place)),
                    bins=[int(b) for b in bins], values=[float(values[b]) for b in bins], tolerance=tolerance))


# A power law and a narrow line, smoothed: equal bins in keV and in ln E, a width that is fixed or not.
LINE = {"powerlaw.PhoIndex": 1.7, "powerlaw.norm": 1.0, "gaussian.LineE": 6.4, "gaussian.Sigma": 0.005, "gaussian.norm": 0.05}
for place in ((0.3, 10.0, 4850, True), (0.3, 10.0, 4850, False)):
    edges = grid(*place)
    source = xs.call("powerlaw", edges, [1.7]) + 0.05 * xs.call("gaussian", edges, [6.4, 0.005])
    for name in ("gsmooth", "lsmooth"):
        for width, index in ((0.05, 0.0), (0.2, 1.0), (0.01, -1.0)):
            values = xs.call(name, edges, [width, index], flux=source)
            at = np.searchsorted(edges, [1.0, 3.0, 5.5, 6.1, 6.3, 6.36, 6.4, 6.45, 6.6, 7.5]) - 1
            keep("xspec", f"{name}*(powerlaw+gaussian)", {f"{name}.Sig_6keV": width, f"{name}.Index": index, **LINE}, place, values,
                 at, 3e-3 if name == "lsmooth" else 2e-4)  # XSPEC fills a Lorentzian's wings at the grid's ends in its own way


def disc(edges, energy, power, inner, outer, inclination, photons=1.0):
    """Photons in bins from a disc of Fabian et al. 1989, with 2 under the root; radii at random within 10000 steps."""
    s = np.sin(np.radians(inclination))
    n = 10000
    u = (np.arange(n) + np.random.default_rng(1).random(n)) / n
    r = inner * (outer / inner) ** u
    emissivity = r ** (power + 2) if power < 10 else (1 - np.sqrt(6 / r)) / r
    phi = (np.arange(1000) + 0.5) / 1000 * np.pi - np.pi / 2
    sums, total = np.zeros(len(edges) - 1), 0.0
    for r, w in zip(r, emissivity):
        g = np.sqrt(1 - 3 / r) / (1 + s * np.sin(phi) / np.sqrt(r - 2 * (1 - (s * np.cos(phi)) ** 2)))
        cubes = w * g**3
        place = np.searchsorted(edges, energy * g) - 1
        inside = (place >= 0) & (place < len(sums))
        sums += np.bincount(place[inside], cubes[inside], len(sums))
        total += cubes.sum()
    return photons * sums / total


# Lines of discs: bins of 20 eV, and all of a line in one bin.
for power, inner, outer, inclination in ((-2.0, 10.0, 1000.0, 30.0), (-8.0, 6.0, 1e6, 50.0), (3.0, 10.0, 1e6, 40.0), (10.0, 6.0, 400.0, 20.0)):
    place = (4.0, 8.0, 200, True)
    values = disc(grid(*place), 6.4, power, inner, outer, inclination)
    at = np.argsort(-values)[:60:6]
    parameters = {"LineE": 6.4, "Betor10": power, "Rin_M": inner, "Rout_M": outer, "Incl": inclination}
    keep("quadrature", "diskline", {f"diskline.{k}": v for k, v in parameters.items()}, place, values, at, 2e-2)
    narrow = {"gaussian.LineE": 6.4, "gaussian.Sigma": 0.0, "gaussian.norm": 1.0}
    del parameters["LineE"]
    # The line lies in the middle of a bin of 20 eV.
    shifted = (4.01, 8.01, 200, True)
    values = disc(grid(*shifted), 6.4, power, inner, outer, inclination)
    at = np.argsort(-values)[:60:6]
    keep("quadrature", "rdblur*gaussian", {**{f"rdblur.{k}": v for k, v in parameters.items()}, **narrow}, shifted, values, at, 1e-2)
place = (1.0, 10.0, 20, False)
keep("xspec", "diskline", {"diskline.LineE": 6.4, "diskline.Betor10": 1.0, "diskline.Rin_M": 1000.0, "diskline.Rout_M": 1e5, "diskline.Incl": 10.0},
     place, xs.call("diskline", grid(*place), [6.4, 1.0, 1000.0, 1e5, 10.0]), [16], 1e-3)

# Where dust changes its sign.
place = (0.4, 0.9, 1000, True)
edges = grid(*place)
values = xs.call("dust", edges, [0.4, 2.0]) * xs.call("powerlaw", edges, [1.0])
keep("xspec", "dust*powerlaw", {"dust.Frac": 0.4, "dust.Halosz": 2.0, "powerlaw.PhoIndex": 1.0}, place, values,
     np.searchsorted(edges, [0.45, 0.59, 0.6, 0.61, 0.7, 0.85]) - 1, 2e-3)

# Cold plasmas, and an energy of the source at which the steps of a table change.
for kt, place in ((0.008, (0.05, 10.0, 500, False)), (0.0095, (0.1, 10.0, 500, False)), (0.01, (0.1, 2.0, 500, False))):
    edges = grid(*place)
    values = xs.call("apec", edges, [kt, 1.0, 0.0])
    at = [b for b in range(0, 200, 8) if values[b] > 1e-6 * values.max()]
    keep("xspec", "apec", {"apec.kT": kt}, place, values, at, 1e-2)
place = (5.0, 10.0, 2500, True)
edges = grid(*place)
values = xs.call("apec", edges, [1.2, 0.5, 0.65])
keep("xspec", "apec", {"apec.kT": 1.2, "apec.Abundanc": 0.5, "apec.Redshift": 0.65}, place, values,
     np.searchsorted(edges, np.array([15.9, 15.98, 16.0, 16.02, 16.04, 16.06, 16.08, 16.1]) / 1.65) - 1, 2e-3)

path = pathlib.Path(__file__).with_name("fine_bins.json")
path.write_text("[\n" + ",\n".join(json.dumps(case) for case in out) + "\n]\n")
print(len(out), "cases,", path.stat().st_size, "bytes")
