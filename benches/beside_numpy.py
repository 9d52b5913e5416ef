"""UltraNest with rontgen.Likelihood beside UltraNest with a likelihood in numpy: the same spectrum, priors and settings, one after the other in one process.

    python benches/beside_numpy.py NUMPY DATA xifu [--grouping all|file] [--live 400] [--draws 128] [--repeats 1]
    python benches/beside_numpy.py NUMPY DATA pn

NUMPY is a folder with the module xray_numpy (Simulator, load_pn, load_xifu, from_cube, cstat_offset), a forward model of dense numpy and scipy.sparse on two threads; DATA holds
what it reads: the files of EPIC-pn or of X-IFU, and the absorption of XSPEC. The mock of X-IFU is the narrow line of examples/xifu-line.toml, 24 s, drawn here.
`--grouping all` takes every channel for a bin. rontgen runs twice: as it does by itself, at the energies that the folded spectrum notices, and at all of them, as numpy does.

`--draws` is UltraNest's `ndraw_min`, the points that it draws from its region for a call; some tenth of them are likelihoods.

Needs numpy, scipy, astropy, ultranest and rontgen. A line of JSON for each run: elapsed and processor seconds, those inside the likelihood, its calls and rows, ln Z
with likelihoods of -C-STAT/2.
"""

import argparse
import json
import os
import sys
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")


def mock(folder: Path, grouping: str, out: Path) -> None:
    """Writes a spectrum of the line with the grouping of both."""
    import numpy as np
    import rontgen
    import xray_numpy as peer
    from astropy.io import fits

    response, area = folder / peer.XIFU_RMF, folder / peer.XIFU_ARF
    channels = fits.getdata(response, "EBOUNDS")["CHANNEL"]
    empty = fits.BinTableHDU.from_columns(
        [fits.Column("CHANNEL", "J", array=channels), fits.Column("COUNTS", "J", array=np.zeros(len(channels), int))], name="SPECTRUM"
    )
    words = {"EXPOSURE": 24.0, "BACKSCAL": 1.0, "AREASCAL": 1.0, "TELESCOP": "ATHENA", "INSTRUME": "XIFU", "FILTER": "none", "POISSERR": True}
    words |= {"CHANTYPE": "PI", "DETCHANS": len(channels), "RESPFILE": response.name, "ANCRFILE": area.name, "BACKFILE": "none", "CORRFILE": "none"}
    words |= {"HDUCLASS": "OGIP", "HDUCLAS1": "SPECTRUM", "HDUVERS": "1.2.1"}
    empty.header.update(words)
    empty.writeto(out, overwrite=True)
    seen = rontgen.Observation(out, response=response, arf=area, background=False, grouping="none")
    truth = {"tbabs.nH": 0.2, "zgauss.LineE": 2.0, "powerlaw.PhoIndex": 1.8, "powerlaw.norm": 0.3, "zgauss.Sigma": 0.009, "zgauss.Redshift": 0.27, "zgauss.norm": 0.01}
    free = {name: value for name, value in truth.items() if name not in ("tbabs.nH", "zgauss.LineE")}
    prior = {name: rontgen.uniform(0.9 * value, 1.1 * value) if name in free else value for name, value in truth.items()}
    drawn = rontgen.Simulator(seen, line(True), prior, seed=1, device="cpu")
    assert drawn.bins == len(channels), "channels that no bin has"
    counts = drawn({name: np.array([value]) for name, value in free.items()}, seed=1)[0]
    every = np.ones(len(channels), int) if grouping == "all" else peer.xifu_grouping(str(folder))
    columns = empty.columns + fits.ColDefs([fits.Column("GROUPING", "I", array=every)])
    grouped = fits.BinTableHDU.from_columns(columns, name="SPECTRUM")
    grouped.header.update(words)
    grouped.data["COUNTS"] = counts
    grouped.writeto(out, overwrite=True)


def line(exact: bool):
    """The model of the X-IFU line."""
    import rontgen

    return rontgen.Model("tbabs*(powerlaw+zgauss)", abundances="wilm", exact_grid=exact)


def case(arguments, folder: Path, out: Path):
    """Returns numpy's simulator and its counts, and the same problem as likelihoods of rontgen: at the energies it keeps, and at all."""
    import numpy as np
    import rontgen
    import xray_numpy as peer
    from astropy.io import fits

    if arguments.case == "pn":
        response, counts = peer.load_pn(str(folder), 0.5, 10.0)
        simulator = peer.Simulator(str(folder), response, "pn", "angr_xspec", threads=2)
        seen = rontgen.Observation(folder / "PN_spectrum_grp20.fits", response=folder / "PN.rmf", arf=folder / "PN.arf", background=False, energies=(0.5, 10))
        models = [rontgen.Model("tbabs*(bbodyrad+powerlaw)", abundances="angr", exact_grid=exact) for exact in (False, True)]
        names, frozen = ["tbabs.nH", "bbodyrad.kT", "bbodyrad.norm", "powerlaw.PhoIndex", "powerlaw.norm"], {}
    else:
        mock(folder, arguments.grouping, out)
        with fits.open(out) as file:
            grouping, channels = (np.array(file["SPECTRUM"].data[name]) for name in ("GROUPING", "COUNTS"))
        response = peer.load_xifu(str(folder), 24.0, grouping=grouping)
        counts = response.group(channels)
        simulator = peer.Simulator(str(folder), response, "xifu", "wilm_xspec", threads=2)
        seen = rontgen.Observation(out, response=folder / peer.XIFU_RMF, arf=folder / peer.XIFU_ARF, background=False, energies=(0.2, 12), grouping="file")
        models = [line(False), line(True)]
        names, frozen = ["powerlaw.PhoIndex", "powerlaw.norm", "zgauss.Sigma", "zgauss.Redshift", "zgauss.norm"], {"tbabs.nH": 0.2, "zgauss.LineE": 2.0}
    prior = {own: (rontgen.log_uniform if log else rontgen.uniform)(low, high) for own, (_, low, high, log) in zip(names, simulator.prior)}
    return simulator, counts, [rontgen.Likelihood(seen, model, prior | frozen, device=arguments.device) for model in models]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("numpy", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("case", choices=["pn", "xifu"])
    parser.add_argument("--grouping", choices=["file", "all"], default="file")
    parser.add_argument("--live", type=int, default=400)
    parser.add_argument("--draws", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pha", type=Path, default=Path("xifu-line-grouped.pha"))
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.numpy.resolve()))
    warnings.simplefilter("ignore")
    import logging

    import numpy as np
    import ultranest
    import xray_numpy as peer

    logging.getLogger("ultranest").setLevel(logging.WARNING)
    logging.getLogger("ultranest").addHandler(logging.NullHandler())
    simulator, counts, (own, every) = case(arguments, arguments.data.resolve(), arguments.pha)
    offset = peer.cstat_offset(counts)
    ways = {
        "numpy": (lambda theta: simulator.loglike(theta, counts) - offset, lambda cube: peer.from_cube(cube, simulator.prior)),
        "rontgen": (own, own.prior_transform),
        "rontgen, every energy": (every, every.prior_transform),
    }

    print(json.dumps(dict(case=arguments.case, bins=[len(counts), own.bins], energies=len(simulator.m.de), counts=float(counts.sum()))), flush=True)
    theta = ways["numpy"][1](np.random.default_rng(1).random((1600, own.ndim)))
    for n in (1, 12, 40, 128, 400, 1600):
        rates = {}
        for name, (function, _) in ways.items():
            function(theta[:n])
            times = []
            while len(times) < 3 or (sum(times) < 1.0 and len(times) < 200):
                started = time.perf_counter()
                function(theta[:n])
                times.append(time.perf_counter() - started)
            rates[name] = 1e6 * float(np.median(times))
        print(json.dumps(dict(rows=n, microseconds={name: round(value, 1) for name, value in rates.items()}, times=[round(rates["numpy"] / rates[name], 1) for name in ways])), flush=True)

    for repeat in range(arguments.repeats):
        for name, (function, transform) in ways.items():
            np.random.seed(1 + repeat)
            spent = [0, 0, 0.0, 0.0]

            def counted(theta):
                elapsed, processor = time.perf_counter(), time.process_time()
                found = function(theta)
                spent[0] += 1
                spent[1] += len(theta)
                spent[2] += time.perf_counter() - elapsed
                spent[3] += time.process_time() - processor
                return found

            elapsed, processor = time.perf_counter(), time.process_time()
            sampler = ultranest.ReactiveNestedSampler(own.names, counted, transform, vectorized=True, log_dir=None, ndraw_min=arguments.draws)
            found = sampler.run(min_num_live_points=arguments.live, dlogz=0.5, viz_callback=False, show_status=False)
            elapsed, processor = time.perf_counter() - elapsed, time.process_time() - processor
            # Both are the same likelihood: where the posterior lies.
            drawn = found["samples"][:: max(1, len(found["samples"]) // 100)]
            apart = ways["numpy"][0](drawn) - ways["rontgen"][0](drawn)
            print(
                json.dumps(
                    dict(likelihood=name, live=arguments.live, draws=arguments.draws, seed=1 + repeat, elapsed_s=round(elapsed, 2), processor_s=round(processor, 2), of_it_likelihood_s=[round(spent[2], 2), round(spent[3], 2)],
                         calls=spent[0], rows=spent[1], logz=round(found["logz"], 3), error=round(found["logzerr"], 3), ess=round(float(found["ess"])), apart=[round(float(apart.mean()), 4), round(float(apart.std()), 4)])
                ),
                flush=True,
            )  # fmt: skip


if __name__ == "__main__":
    main()
