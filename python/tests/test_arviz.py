"""ArviZ, pandas, GetDist, anesthetic and corner read what there is for them, and see the same numbers."""

import subprocess

import numpy as np
import pytest
import rontgen
from conftest import needed


@pytest.fixture(scope="module")
def tree(posterior):
    needed("xarray", "netCDF4")
    return posterior.to_arviz(prior_draws=500)


def test_the_tree_has_the_posteriors_numbers(tree, posterior, likelihood):
    assert list(tree.children) == ["posterior", "sample_stats", "log_likelihood", "prior", "observed_data", "constant_data"]
    for k, name in enumerate(posterior.names):
        assert (tree["posterior"][name].to_numpy()[0] == posterior.array[:, k]).all()
    assert tree["posterior"]["bbodyrad.kT"].attrs["units"] == "keV"
    (name,) = tree["log_likelihood"].data_vars
    parts = tree["log_likelihood"][name].to_numpy()[0]
    assert parts.shape == (len(posterior.array), likelihood.bins)
    # The posterior's own ln L, from the same draws.
    np.testing.assert_allclose(parts.sum(axis=1), likelihood(posterior.array), rtol=1e-6, atol=2e-3)
    np.testing.assert_allclose(tree["sample_stats"]["lp"][0], likelihood.log_posterior(posterior.array), rtol=1e-6, atol=2e-3)
    assert (tree["observed_data"][name].to_numpy() == posterior.run.counts).all()
    assert tree["prior"]["tbabs.nH"].shape == (1, 500) and tree.attrs["log_evidence"] == posterior.log_evidence
    assert (tree["constant_data"][f"{name} e_min"].to_numpy() == posterior.run.observations[0]["e_min"]).all()


def test_draws_may_be_fewer(posterior):
    needed("xarray")
    small = posterior.to_arviz(draws=100, log_likelihood=False)
    assert list(small.children) == ["posterior"] and small["posterior"].sizes["draw"] == 100
    for draws in (0, 4001, 2.5, True):
        with pytest.raises(rontgen.InputError, match="expected a whole number from 1 to 4000"):
            posterior.to_arviz(draws=draws)


def test_arviz_summarises_draws_and_compares(tree, posterior, tmp_path):
    needed("arviz")
    import arviz as az

    tree.to_netcdf(tmp_path / "run.nc")
    # ArviZ 1.x reads trees; before, its own class of the same groups.
    back = az.from_netcdf(tmp_path / "run.nc")
    for k, name in enumerate(posterior.names):
        assert (np.asarray(back["posterior"][name])[0] == posterior.array[:, k]).all()
    table = az.summary(back, round_to="none" if az.__version__[0] != "0" else None)
    for name in posterior.names:
        own = posterior.parameters[name]
        assert float(table.loc[name, "mean"]) == pytest.approx(own["mean"], rel=0.05)
        assert float(table.loc[name, "sd"]) == pytest.approx(own["std"], rel=0.05 if az.__version__[0] != "0" else 1)
    loo = az.loo(back)
    best = posterior.summary["cstat"]["best"]
    assert -best < float(getattr(loo, "elpd", getattr(loo, "elpd_loo", np.nan))) < -0.5 * best
    assert 2 < float(getattr(loo, "p", getattr(loo, "p_loo", np.nan))) < 12


def test_arviz_draws(tree):
    needed("arviz", "matplotlib")
    import matplotlib

    matplotlib.use("Agg")
    import arviz as az
    import matplotlib.pyplot as plt

    (az.plot_dist if hasattr(az, "plot_forest") and az.__version__[0] != "0" else az.plot_posterior)(tree)
    plt.close("all")


def test_netcdf_is_read_by_xarray(tree, tmp_path):
    import xarray as xr

    tree.to_netcdf(tmp_path / "run.nc")
    with xr.open_datatree(tmp_path / "run.nc") as back:
        assert set(back.children) == set(tree.children)
        assert (back["posterior"]["powerlaw.norm"].to_numpy() == tree["posterior"]["powerlaw.norm"].to_numpy()).all()


@pytest.fixture(scope="module")
def written(program, folder, tmp_path_factory):
    """The program's own file of the same run."""
    file = tmp_path_factory.mktemp("arviz") / "run.nc"
    subprocess.run([program, "export", folder, "--arviz", file, "--device", "cpu"], check=True)
    return file


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
def test_the_program_writes_the_same_tree(engine, written, posterior):
    needed("xarray", "netCDF4", "h5netcdf")
    import xarray as xr

    # As many draws from the prior as the program takes.
    tree = posterior.to_arviz()
    with xr.open_datatree(written, engine=engine) as back:
        assert set(back.children) == set(tree.children)
        for name, group in tree.children.items():
            own, theirs = back[name].to_dataset(), group.to_dataset()
            assert set(own.variables) == set(theirs.variables) and own.attrs == theirs.attrs, name
            for variable in theirs.variables:
                assert own[variable].dims == theirs[variable].dims and own[variable].attrs == theirs[variable].attrs
                assert own[variable].dtype == theirs[variable].dtype
                # The folder's draws are the posterior's, to the last digit; so are the likelihoods of the same device. numpy adds bins up in another order.
                rounding = 1e-14 if name == "sample_stats" and variable not in ("chain", "draw") else 0
                np.testing.assert_allclose(own[variable].to_numpy(), theirs[variable].to_numpy(), rtol=rounding, err_msg=f"{name} {variable}")
        assert back.attrs == tree.attrs


def test_arviz_reads_the_programs_file(written, posterior):
    needed("arviz")
    import arviz as az

    back = az.from_netcdf(written)
    table = az.summary(back, round_to="none" if az.__version__[0] != "0" else None)
    for name in posterior.names:
        assert float(table.loc[name, "mean"]) == pytest.approx(posterior.parameters[name]["mean"], rel=0.05)
    loo = az.loo(back)
    assert 2 < float(getattr(loo, "p", getattr(loo, "p_loo", np.nan))) < 12


def test_the_program_takes_fewer_draws_and_writes_nothing_in_vain(program, folder, tmp_path):
    needed("xarray", "netCDF4")
    import xarray as xr

    file = tmp_path / "run.nc"
    subprocess.run([program, "export", folder, "--arviz", file, "--draws", "25"], check=True)
    with xr.open_datatree(file) as back:
        assert back["posterior"].sizes["draw"] == 25 and back["log_likelihood"].sizes["draw"] == 25 and back["prior"].sizes["draw"] == 2000
    before = file.read_bytes()
    for options in (["--draws", "4001"], ["--draws", "0"], ["--data", str(tmp_path / "none")]):
        done = subprocess.run([program, "export", folder, "--arviz", file, "--latex", tmp_path / "t.tex", *options], capture_output=True, text=True)
        assert done.returncode == 2 and done.stderr, options
        assert file.read_bytes() == before and not (tmp_path / "t.tex").exists()


def test_pandas_reads_the_tables(folder, posterior):
    needed("pandas")
    import pandas as pd

    np.testing.assert_allclose(pd.read_csv(folder / "posterior.csv").to_numpy(), posterior.array, rtol=1e-12)
    # To the last digit where pandas is asked for it.
    table = pd.read_csv(folder / "posterior.csv", float_precision="round_trip")
    assert list(table.columns) == posterior.names and (table.to_numpy() == posterior.array).all()
    weighted = pd.read_csv(folder / "weighted.csv", float_precision="round_trip")
    assert (weighted["weight"].to_numpy() == posterior.weights).all()
    assert (pd.DataFrame(posterior.samples)["tbabs.nH"] == table["tbabs.nH"]).all()


@pytest.fixture(scope="module")
def root(program, folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("getdist") / "demo"
    subprocess.run([program, "export", folder, "--getdist", root], check=True)
    return str(root)


def test_getdist_reads_the_export(root, posterior):
    needed("getdist")
    from getdist import MCSamples, loadMCSamples

    read = loadMCSamples(root, settings={"ignore_rows": 0})
    assert read.getParamNames().list() == posterior.names
    for k, name in enumerate(posterior.names):
        own = posterior.parameters[name]
        assert read.mean(k) == pytest.approx(own["mean"], abs=0.1 * own["std"])
        assert read.std(k) == pytest.approx(own["std"], rel=0.06)
    # The table of equal-weight draws, too.
    plain = MCSamples(samples=posterior.array, names=posterior.names)
    assert plain.std("tbabs.nH") == pytest.approx(posterior.array[:, 0].std(), rel=1e-3)


def test_anesthetic_reads_the_export(root, posterior, folder):
    needed("anesthetic")
    import pandas as pd
    from anesthetic import MCMCSamples, read_chains

    read = read_chains(root)
    for name in posterior.names:
        assert float(read[name].mean()) == pytest.approx(posterior.parameters[name]["mean"], abs=0.1 * posterior.parameters[name]["std"])
    plain = MCMCSamples(data=pd.read_csv(folder / "posterior.csv"))
    assert float(plain["powerlaw.PhoIndex"].mean()) == pytest.approx(posterior.samples["powerlaw.PhoIndex"].mean(), rel=1e-12)


def test_corner_draws_the_draws(posterior):
    needed("corner", "matplotlib")
    import matplotlib

    matplotlib.use("Agg")
    import corner
    import matplotlib.pyplot as plt

    figure = corner.corner(posterior.array, labels=posterior.names)
    assert len(figure.axes) == 25
    plt.close("all")


def test_data_sets_called_like_dimensions_have_names_of_their_own():
    from rontgen._arviz import _variables

    assert _variables(["pn", "mos 1"]) == ["pn", "mos 1"]
    assert _variables(["chain", "chain_", "draw"]) == ["chain_", "chain__", "draw_"]
    assert _variables(["a", "bin a", "a e_min", "bin a e_min"]) == ["a", "bin a_", "a e_min_", "bin a e_min_"]
