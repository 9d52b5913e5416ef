#!/usr/bin/env bash
# Components of jaxspec (package 0.4.1) that have XSPEC's names and parameters and other values, seen beside XSPEC 12.15's own routines:
#
#   Zedge    exp(-D (E (1 + z)/Ec)^3) above Ec: deeper the higher the energy, where photoelectric absorption falls as E^-3, and with the threshold at Ec whatever the
#            redshift. XSPEC's zedge: exp(-D (E (1 + z)/Ec)^-3) above Ec/(1 + z). With Ec = 3 keV, D = 1, z = 0 a tenth of a per cent is left at 6 keV in place of 88 %.
#   Agauss   a density per Angstrom that is summed over keV: a line at 6 A with norm 1 has 0.34 photons/cm2/s, at 12 A 0.09; XSPEC's has 1.
#   Zgauss   norm/(1 + z)^2 photons, XSPEC's norm/(1 + z): half as many at z = 1.
#   Zagauss  norm 1, 3 A, z = 1: 1.38 photons; XSPEC's 0.5, norm/(1 + z).
#
# The formulas stand in the documentation of the components as they are computed, so that nothing warns: a fit of an edge or of such a line has another depth or norm. Powerlaw, Gauss,
# Blackbodyrad and Highecut agree with XSPEC's.
#
# The script installs the package in a temporary folder, runs it without rontgen, and fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for python in python3.12 python3.13 python3.11 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[123].*/bin/python; do
  "$python" -c 'import venv' 2>/dev/null && break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet jaxspec==0.4.1
cat > "$folder/run.py" <<'PY'
import jax

jax.config.update("jax_enable_x64", True)
import numpy as np
from jaxspec.model.additive import Agauss, Gauss, Powerlaw, Zagauss, Zgauss
from jaxspec.model.multiplicative import Zedge

edges = np.linspace(0.5, 10.0, 1901)


def photons(component, **parameters):
    """Of the whole band, from the component's own model."""
    name = type(component).__name__.lower() + "_1"
    flux = component.photon_flux(edges[:-1], edges[1:], params={f"{name}.{key}": value for key, value in parameters.items()}, n_points=50)
    return float(np.sum(flux))


def factor(energy, **parameters):
    """Of the edge: of a narrow bin of a flat spectrum."""
    low, high = np.array([energy - 1e-4]), np.array([energy + 1e-4])
    model = Zedge() * Powerlaw()
    values = {"powerlaw_1.alpha": 0.0, "powerlaw_1.norm": 1.0, **{f"zedge_1.{key}": value for key, value in parameters.items()}}
    return float(model.photon_flux(low, high, params=values, n_points=50)[0] / 2e-4)


assert abs(photons(Gauss(), El=4.0, sigma=0.05, norm=1.0) - 1.0) < 1e-6
for name, found, seen, xspec in [
    ("Agauss, 6 A", photons(Agauss(), lambdal=6.0, sigma=0.05, norm=1.0), 0.3445, 1.0),
    ("Agauss, 12 A", photons(Agauss(), lambdal=12.0, sigma=0.05, norm=1.0), 0.0861, 1.0),
    ("Zgauss, 4 keV, z = 1", photons(Zgauss(), El=4.0, sigma=0.05, redshift=1.0, norm=1.0), 0.25, 0.5),
    ("Zagauss, 3 A, z = 1", photons(Zagauss(), lambdal=3.0, sigma=0.05, redshift=1.0, norm=1.0), 1.3788, 0.5),
    ("Zedge, 3 keV, z = 0, at 6 keV", factor(6.0, Ec=3.0, D=1.0, z=0.0), np.exp(-8.0), np.exp(-1 / 8)),
    ("Zedge, 3 keV, z = 0.5, at 2.5 keV", factor(2.5, Ec=3.0, D=1.0, z=0.5), 1.0, np.exp(-((3.0 / 3.75) ** 3))),
]:
    print(f"{name}: {found:.4g}; XSPEC's {xspec:.4g}")
    assert abs(found / seen - 1.0) < 2e-3, (name, found, seen)
PY
(cd "$folder" && JAX_PLATFORMS=cpu "$folder/venv/bin/python" -W ignore run.py)
