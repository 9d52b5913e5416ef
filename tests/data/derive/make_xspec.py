"""Makes xspec.json: fluxes, luminosities and equivalent widths from XSPEC's own routines, on fine energies of this script's.

python make_xspec.py FOLDER APECROOT: FOLDER holds xspec_lib.py (a thin wrapper of XSPEC's routines), APECROOT as XSPEC's (AtomDB 3.0.8).
Photons are sums over 40000 bins equal in ln E, energies sums of photons times the bins' middles, as XSPEC's flux has them.
"""
import ctypes
import json
import pathlib
import sys

import numpy as np

sys.path.insert(0, sys.argv[1])
import xspec_lib as xs  # noqa: E402

xs.chatter(0)
xs.setting("APECROOT", sys.argv[2])
xs._sym("csmpall_")(*[ctypes.byref(ctypes.c_float(x)) for x in (70.0, 0.0, 0.73)])  # XSPEC's default of cosmo
ERG = 1.602176634e-9
N = 40000
out = []


def grid(lo, hi, n=N):
    return lo * (hi / lo) ** (np.arange(n + 1) / n)


def component(name, edges, p):
    """One component of a set {"name.par": value}; additive ones times their norm."""
    pars = [p[f"{name}.{par}"] for par in xs.MODELS[name]["pars"] if par != "norm"]
    return xs.call(name, edges, pars[:xs.MODELS[name]["npar"]]) * p.get(f"{name}.norm", 1.0)


def sums(model, lo, hi):
    edges = grid(lo, hi)
    photons = model(edges)
    return photons.sum(), ERG * (photons * 0.5 * (edges[1:] + edges[:-1])).sum()


def keep(expression, abund, p, values, **more):
    out.append(dict(expression=expression, abund=abund, set=p, values={k: float(v) for k, v in values.items()}, **more))


def bands(values, model, name, inside="", bands=((0.5, 2), (0.5, 10), (2, 10))):
    for lo, hi in bands:
        photons, energy = sums(model, lo, hi)
        band = f"{lo}-{hi}{inside}"
        values[f"{'unabsorbed' if name else 'flux'}({band})"] = energy
        values[f"{'unabsorbed_photons' if name else 'photons'}({band})"] = photons


for abund in ("wilm", "angr"):
    xs.abund(abund)
    for nh, kt, norm, index, power in ((0.13, 0.9, 0.02, 1.8, 3e-4), (2.0, 0.15, 50.0, 2.6, 1e-2)):
        p = {"tbabs.nH": nh, "bbodyrad.kT": kt, "bbodyrad.norm": norm, "powerlaw.PhoIndex": index, "powerlaw.norm": power}
        tbabs = lambda e: component("tbabs", e, p)
        black, law = (lambda e: component("bbodyrad", e, p)), (lambda e: component("powerlaw", e, p))
        values = {}
        bands(values, lambda e: tbabs(e) * (black(e) + law(e)), False)
        bands(values, lambda e: tbabs(e) * black(e), False, ";bbodyrad")
        bands(values, lambda e: tbabs(e) * law(e), False, ";powerlaw")
        bands(values, lambda e: black(e) + law(e), True, ";tbabs")
        bands(values, black, True, ";tbabs;bbodyrad")
        keep("tbabs*(bbodyrad+powerlaw)", abund, p, values, within=1e-4)

# A plasma at a redshift, with its luminosity in a band of its own frame.
xs.abund("angr")


def distance(z):
    """Luminosity distance in cm, flat universe of H0 = 70, Lambda0 = 0.73, by Simpson's rule."""
    x = np.linspace(0, z, 20001)
    f = 1 / np.sqrt(0.27 * (1 + x) ** 3 + 0.73)
    weights = np.ones_like(x)
    weights[1:-1:2], weights[2:-1:2] = 4, 2
    return 299792.458 / 70 * (1 + z) * (f * weights).sum() * (x[1] - x[0]) / 3 * 3.0856775814913673e24


for kt, z in ((0.7, 0.02), (4.0, 0.3)):
    p = {f"vapec.{par}": 1.0 for par in xs.MODELS["vapec"]["pars"] if par != "norm"}
    p.update({"vapec.kT": kt, "vapec.Fe": 0.6, "vapec.Si": 0.8, "vapec.Redshift": z, "vapec.norm": 2e-3})
    model = lambda e: component("vapec", e, p)
    values = {}
    bands(values, model, False)
    for lo, hi in ((0.5, 2), (2, 10)):
        _, flux = sums(model, lo / (1 + z), hi / (1 + z))
        values[f"luminosity({lo}-{hi})"] = 4 * np.pi * distance(z) ** 2 * flux
    keep("vapec", "angr", p, values, within=1e-4)
    # XSPEC's distances are its own approximation; the luminosity is what clumin need not change.
    edges = grid(0.1, 20)
    photons, wanted, values = model(edges), 44.0, {}
    for lo, hi in ((0.5, 2), (2, 10)):
        scaled = xs.call("clumin", edges, [lo, hi, z, wanted], flux=photons)
        values[f"luminosity({lo}-{hi})"] = 10**wanted * photons.sum() / scaled.sum()
    keep("vapec", "angr", p, values, within=2.5e-3)

# Equivalent widths by the definition of XSPEC's eqwidth: photons of the line with its factors from 0.2 to 12 keV, the energy of its peak,
# the rest of the model from 0.95 to 1.05 of it.
xs.abund("wilm")
for line, own in (("gaussian", {"LineE": 6.4, "Sigma": 0.05}), ("gaussian", {"LineE": 1.3, "Sigma": 0.0}),
                  ("diskline", {"LineE": 6.7, "Betor10": -2.0, "RinM": 10.0, "RoutM": 1000.0, "Incl": 30.0})):
    p = {"tbabs.nH": 1.0, "powerlaw.PhoIndex": 1.7, "powerlaw.norm": 1e-3, f"{line}.norm": 2e-5}
    names = xs.MODELS[line]["pars"]
    p.update({f"{line}.{par}": value for par, value in zip(names, own.values())})
    edges = grid(0.2, 12.0)
    tbabs = component("tbabs", edges, p)
    photons = tbabs * component(line, edges, p)
    top = np.argmax(photons / np.diff(edges))
    energy = own["LineE"] if line == "gaussian" else 0.5 * (edges[top] + edges[top + 1])
    around = grid(0.95 * energy, 1.05 * energy)
    continuum = (component("tbabs", around, p) * component("powerlaw", around, p)).sum() / (0.1 * energy)
    keep(f"tbabs*(powerlaw+{line})", "wilm", p, {f"eqw({line})": photons.sum() / continuum}, within=1e-4 if own.get("Sigma") else 1e-3 if line == "gaussian" else 2e-3)  # a line within a bin, a peak that is looked for in bins

text = json.dumps(dict(made_by="make_xspec.py with XSPEC 12.15's routines and AtomDB 3.0.8", entries=out), indent=1)
pathlib.Path(__file__).with_name("xspec.json").write_text(text + "\n")
