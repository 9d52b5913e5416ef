"""A power law as an external model, in numpy: the smallest example, and a check against the built-in one.

Run file: examples/external-powerlaw.toml
"""
import numpy as np

import rontgen_external


def power_law(parameters, lo, hi):
    (index,) = parameters
    if abs(index - 1.0) < 1e-9:
        return np.log(hi / lo)
    return (hi ** (1.0 - index) - lo ** (1.0 - index)) / (1.0 - index)


rontgen_external.serve(power_law)
