"""rontgen: from an X-ray spectrum and a spectral model to a posterior you can trust.

::

    import rontgen

    obs = rontgen.Observation("pn.pha", background="bkg.pha", energies=[(0.5, 10)])
    model = rontgen.Model("tbabs*(bbodyrad+powerlaw)", abundances="wilm")
    prior = {"tbabs.nH": rontgen.uniform(0, 0.5), "bbodyrad.kT": rontgen.uniform(0.1, 2), ...}
    p = rontgen.infer(obs, model, prior)

`p` has draws (`samples`), weights, the evidence and a verdict; `p.to_arviz()`, `p.derive(flux=(2, 10))`, `p.plot_corner()` and `p.plot_spectrum()`
go on with it. `rontgen.Likelihood` and `rontgen.Simulator` are for samplers and networks of your own. Energies are in keV, nH in 1e22 cm-2,
log-likelihoods -1/2 of the statistic (-C-STAT/2).
"""

from __future__ import annotations

from ._describe import Component, Model, Observation, component, log_normal, log_uniform, normal, tie, uniform
from ._device import devices
from ._errors import DeviceError, Error, FileError, ForkError, InferenceError, InputError, RefusedWarning, RontgenWarning
from ._likelihood import Likelihood, Simulator
from ._posterior import Derived, Light, Posterior, Verdict
from ._rontgen import __version__
from ._run import Run, demo, infer, load

__all__ = [
    "Component",
    "Derived",
    "DeviceError",
    "Error",
    "FileError",
    "ForkError",
    "InferenceError",
    "InputError",
    "Light",
    "Likelihood",
    "Model",
    "Observation",
    "Posterior",
    "RefusedWarning",
    "RontgenWarning",
    "Run",
    "Simulator",
    "Verdict",
    "__version__",
    "component",
    "demo",
    "devices",
    "infer",
    "load",
    "log_normal",
    "log_uniform",
    "normal",
    "tie",
    "uniform",
]
