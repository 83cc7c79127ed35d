"""PyMC models in one call: densities, transformations, predictions with names and open sizes."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytensor.tensor as pt
import pytest
from helpers import assert_same, random_noise, run_model
from onnx import ModelProto

from onnx_mapper import InvalidRequest, Refused
from onnx_mapper.conformance.run.distributions import difference
from onnx_mapper.model.metadata import told_by

pm = pytest.importorskip("pymc", reason="no PyMC goes with this PyTensor")
xarray = pytest.importorskip("xarray")
export_model: Any = pytest.importorskip("onnx_mapper.pymc").export_model

RNG = np.random.default_rng(5)
DRAWS = 1500
X = RNG.normal(size=(8, 2))
GROUP = RNG.integers(0, 3, 8).astype("int32")


def regression() -> Any:
    """Return a hierarchical regression, whose data have named axes."""
    coords = {"feature": ["age", "dose"], "group": ["a", "b", "c"], "person": range(8)}
    with pm.Model(coords=coords) as model:
        x = pm.Data("x", X, dims=("person", "feature"))
        group = pm.Data("group_of", GROUP, dims="person")
        slope = pm.Normal("slope", 0, 1, dims="feature")
        spread = pm.HalfNormal("spread", 1)
        offset = pm.Normal("offset", 0, spread, dims="group")
        mean = pm.Deterministic("mean", x @ slope + offset[group], dims="person")
        pm.Normal("y", mean, spread, observed=np.zeros(8), dims="person")
    return model


def trace_of(model: Any, count: int = DRAWS) -> Any:
    """Return draws that differ, as a dataset like what `pm.sample` returns."""
    held, coords = {}, {"chain": np.array([0]), "draw": np.arange(count)}
    for rv in model.free_RVs:
        shape = tuple(np.shape(pm.draw(rv, random_seed=3)))
        values = RNG.normal(0, 0.3, size=(1, count, *shape))
        positive = model.rvs_to_transforms[rv] is not None
        own = [f"{rv.name}_{i}" for i in range(len(shape))]
        named = model.named_vars_to_dims.get(rv.name, own)
        coords |= {dim: np.array(model.coords[dim]) for dim in named if dim in model.coords}
        held[rv.name] = (("chain", "draw", *named), np.exp(values) if positive else values)
    return xarray.Dataset(held, coords=coords)


def sizes_of(model: ModelProto) -> dict[str, list[Any]]:
    ports = [*model.graph.input, *model.graph.output]
    return {
        p.name: [d.dim_param or d.dim_value for d in p.type.tensor_type.shape.dim] for p in ports
    }


@pytest.mark.parametrize(
    ("what", "outputs"),
    [
        ("logp", {"logp": []}),
        ("dlogp", {"logp": [], "dlogp": [6]}),
        ("deterministics", {"mean": [8]}),
        ("log_likelihood", {"y": [8]}),
        ("inverse", {"spread": []}),
    ],
)
@pytest.mark.slow
def test_what_is_computed_of_unconstrained_values(
    what: Any, outputs: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    model = export_model(regression(), path, what=what, verify=True)
    assert path.exists()
    assert sizes_of(model) == {"slope": [2], "spread_log__": [], "offset": [3], **outputs}
    assert told_by(model)["pymc.what"] == what


@pytest.mark.slow
def test_the_density_is_pymcs_own_at_a_point() -> None:
    model = regression()
    point = {"slope": np.array([0.3, -1]), "spread_log__": np.array(-0.4), "offset": np.ones(3)}
    exported = export_model(model, what="dlogp")
    expected = [model.compile_logp()(point), model.compile_dlogp()(point)]
    assert_same(run_model(exported, *point.values()), expected, 1e-10, 1e-10)


def test_transforming_back_and_forth_is_the_identity() -> None:
    with pm.Model() as model:
        rate = pm.Gamma("rate", 2, 3)
        pm.Uniform("upto", 0, rate)
        pm.Dirichlet("parts", np.ones(3))
        pm.Normal("free")
    forth = export_model(model, what="transform", verify=True)
    back = export_model(model, what="inverse", verify=True)
    given = {"rate": np.array(1.5), "upto": np.array(0.7), "parts": np.array([0.2, 0.5, 0.3])}
    values = run_model(forth, *given.values(), np.array(0.1))
    names = [port.name for port in forth.graph.output]
    assert names == ["rate_log__", "upto_interval__", "parts_simplex__"]
    assert_same(run_model(back, *values, np.array(0.1)), list(given.values()), 1e-12, 1e-12)


def test_predictions_follow_their_noise_for_data_of_any_length() -> None:
    model = regression()
    trace = trace_of(model, 4)
    exported = export_model(model, what="predict", trace=trace)
    assert sizes_of(exported) == {
        "x": ["person", 2],
        "group_of": ["person"],
        "y_noise": [4, "person"],
        "y": [4, "person"],
    }
    assert json.loads(told_by(exported)["pymc.dims.y"]) == ["draw", "person"]
    held = {"slope", "offset"} - {weight.name for weight in exported.graph.initializer}
    assert not held
    x, group = RNG.normal(size=(3, 2)), np.array([2, 0, 0], "int32")
    noise = RNG.normal(size=(4, 3))
    slope, spread, offset = (trace[name].values[0] for name in ("slope", "spread", "offset"))
    mean = slope @ x.T + offset[:, group]
    expected = mean + spread[:, None] * noise
    assert_same(run_model(exported, x, group, noise), [expected], 1e-12)


def test_what_follows_from_what_the_trace_lacks_is_taken_or_drawn_anew() -> None:
    with pm.Model(coords={"group": range(3)}) as model:
        x = pm.Data("x", X[:, 0])
        spread = pm.HalfNormal("spread", 1)
        offset = pm.Normal("offset", 0, 1, dims="group")
        by_group = pm.Deterministic("by_group", offset * spread, dims="group")
        pm.Deterministic("shifted", by_group[GROUP] + x)
        pm.Normal("y", by_group[GROUP] + x, spread, observed=np.zeros(8))
    spreads, effects = np.array([0.5, 1.0]), np.array([[1.0, 2.0, 3.0], [-1.0, 0.0, 5.0]])
    trace = {"spread": spreads, "by_group": effects, "shifted": np.zeros((2, 8))}
    with pytest.raises(InvalidRequest, match=r"no draws of 'offset', but of 'by_group'"):
        export_model(model, what="predict", trace=trace)
    kept = export_model(model, what="predict", trace=trace, from_trace=["by_group"])
    assert [port.name for port in kept.graph.input] == ["x", "y_noise"]
    noise = RNG.normal(size=(2, 8))
    expected = effects[:, GROUP] + X[:, 0] + spreads[:, None] * noise
    assert_same(run_model(kept, X[:, 0], noise), [expected], 1e-12)
    del trace["by_group"]
    anew = export_model(model, what="predict", trace=trace)
    assert [port.name for port in anew.graph.input] == ["x", "offset_noise", "y_noise"]
    with pytest.raises(InvalidRequest, match="'by_group' is none of the model's deterministic"):
        export_model(model, what="predict", trace=trace, from_trace=["by_group"])


def test_draws_are_thinned_and_summed_up() -> None:
    model = regression()
    trace = trace_of(model, 40)
    exported = export_model(model, what="predict", trace=trace, thin=2, summary=["mean", 0.05, 1.0])
    assert [port.name for port in exported.graph.output] == ["y_mean", "y_q0.05", "y_q1"]
    noise = RNG.normal(size=(20, 8))
    draws = run_model(export_model(model, what="predict", trace=trace, thin=2), X, GROUP, noise)[0]
    expected = [draws.mean(axis=0), np.quantile(draws, 0.05, axis=0), draws.max(axis=0)]
    assert_same(run_model(exported, X, GROUP, noise), expected, 1e-12)


def test_deterministic_predictions_are_verified_with_pytensor() -> None:
    model = regression()
    exported = export_model(
        model, what="predict", trace=trace_of(model, 3), var_names=["mean"], verify=True
    )
    assert sizes_of(exported)["mean"] == [3, "person"]


@pytest.mark.slow
def test_groups_that_were_not_seen_are_drawn_anew() -> None:
    """What is taken out of the trace is drawn from its prior, given the rest."""
    model = regression()
    trace = trace_of(model).drop_vars("offset")
    exported = export_model(model, what="predict", trace=trace)
    assert [DRAWS, 3] in sizes_of(exported).values()
    assert_alike(model, exported, trace)


def test_data_may_stay_weights() -> None:
    model = regression()
    exported = export_model(model, what="predict", trace=trace_of(model, 3), data_inputs=["x"])
    assert "group_of" not in sizes_of(exported)
    assert sizes_of(exported)["x"] == ["person", 2]


def process() -> Any:
    places = np.linspace(0, 1, 5)[:, None]
    with pm.Model() as model:
        gp = pm.gp.Latent(cov_func=pm.gp.cov.ExpQuad(1, ls=0.3))
        height = gp.prior("height", X=places)
        pm.Poisson("y", pm.math.exp(height), observed=np.arange(5))
        gp.conditional("elsewhere", Xnew=np.array([[0.1], [0.55]]), jitter=1e-4)
    return model


def media_mix() -> Any:
    """Return spendings, carried over geometrically and saturated."""
    weeks = np.arange(12)
    with pm.Model(coords={"week": weeks, "channel": ["tv", "web"]}) as model:
        spent = pm.Data("spent", RNG.uniform(0, 2, (12, 2)), dims=("week", "channel"))
        carry = pm.HalfNormal("carry", 0.3, dims="channel")
        effect = pm.HalfNormal("effect", dims="channel")
        kernel = pt.power(carry[:, None], np.arange(4))
        padded = pt.concatenate([pt.zeros((2, 3)), spent.T], axis=1)
        carried = pt.signal.convolve1d(padded, kernel, mode="valid")
        sales = (pt.tanh(carried) * effect[:, None]).sum(axis=0)
        pm.Normal("y", sales, 0.5, observed=np.zeros(12), dims="week")
    return model


def series() -> Any:
    with pm.Model() as model:
        rho = pm.Normal("rho", 0, 0.3, shape=2)
        pm.AR("y", rho=rho, sigma=1.0, init_dist=pm.Normal.dist(0, 1), observed=np.zeros(6))
    return model


def assert_alike(model: Any, exported: ModelProto, trace: Any, names: Any = ("y",)) -> None:
    """Hold predictive draws against those of PyMC's `sample_posterior_predictive`."""
    data = {data.name: data.get_value() for data in model.data_vars}
    given = [port for port in exported.graph.input if port.name in data]
    lengths = {
        dim.dim_param: size
        for port in given
        for dim, size in zip(port.type.tensor_type.shape.dim, data[port.name].shape, strict=True)
        if dim.dim_param
    }
    rest = {dim: 12 for sizes in sizes_of(exported).values() for dim in sizes if dim not in lengths}
    noise = random_noise(exported, np.random.default_rng(6), {**rest, **lengths})
    feed = {port.name: data[port.name] for port in given} | noise
    session = onnxruntime.InferenceSession(exported.SerializeToString())
    found = session.run(list(names), feed)
    theirs = pm.sample_posterior_predictive(
        trace,
        model=model,
        var_names=list(names),
        random_seed=4,
        progressbar=False,
        return_inferencedata=False,
    )
    for name, ours in zip(names, found, strict=True):
        assert difference(ours, np.asarray(theirs[name])[0].astype(ours.dtype)) == ""


@pytest.mark.slow
@pytest.mark.parametrize("build", [process, media_mix, series])
def test_recipes_predict_as_pymc_does(build: Any) -> None:
    model = build()
    names = ["y", "elsewhere"] if build is process else ["y"]
    trace = trace_of(model)
    if build is process:
        trace = trace.drop_vars("elsewhere")
    if build is series and pm.__version__ < "6":
        with pytest.raises(Refused, match="in a state that another draw reads too"):
            export_model(model, what="predict", trace=trace, var_names=names)
        return
    exported = export_model(model, what="predict", trace=trace, var_names=names)
    assert_alike(model, exported, trace, names)


@pytest.mark.slow
def test_predictions_that_nodes_draw_have_pymcs_distribution() -> None:
    model, trace = regression(), trace_of(regression(), 2000)
    exported = export_model(model, what="predict", trace=trace, random="node")
    assert [port.name for port in exported.graph.input] == ["x", "group_of"]
    onnxruntime.set_seed(3)
    assert_alike(model, exported, trace)


@pytest.mark.slow
def test_a_formula_predicts_as_bambi_does() -> None:
    bambi = pytest.importorskip("bambi", reason="bambi is an extra")
    pandas = pytest.importorskip("pandas")
    table = {"dose": RNG.normal(3, 1, 24), "site": list("abc") * 8, "cured": [0, 1, 1, 0] * 6}
    formula, data = "cured ~ dose + (1|site)", pandas.DataFrame(table)
    model = bambi.Model(formula, data, family="bernoulli", center_predictors=False)
    with pytest.raises(InvalidRequest, match="not built yet"):
        export_model(model)
    sampling = {"draws": 30, "tune": 30, "chains": 1, "progressbar": False, "random_seed": 3}
    trace = model.fit(**sampling)
    for what in ("dlogp", "log_likelihood"):
        export_model(model, what=what, verify=True)
    with pytest.raises(InvalidRequest, match=r"no draws of '1.site_offset', but of '1.site'"):
        export_model(model, what="predict", trace=trace)
    wanted: dict[str, Any] = {"what": "predict", "trace": trace, "from_trace": ["1|site"]}
    (found,) = run_model(export_model(model, **wanted, var_names=["p"]))
    model.predict(trace, kind="response_params")
    np.testing.assert_allclose(found, trace.posterior["p"].values[0], rtol=1e-12)
    with pytest.raises(InvalidRequest, match="give the model of bambi's itself"):
        export_model(model.backend.model, **wanted)
    centred = bambi.Model(formula, data, family="bernoulli")
    centred.build()
    export_model(centred, what="dlogp", verify=True)
    with pytest.raises(InvalidRequest, match="center_predictors=False"):
        export_model(centred, **wanted)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "kind": ({"what": "logps"}, "what is 'logps'; it must be 'logp', 'dlogp'"),
    "no trace": ({"what": "predict"}, "needs a trace"),
    "a trace": ({"trace": {"slope": np.ones((3, 2))}}, "takes no trace"),
    "another trace": ({"what": "predict", "trace": {"x": np.ones(3)}}, "has no draws of the model"),
    "no draws": ({"what": "predict", "trace": 3}, "trace is a int: give what pm.sample returned"),
    "unlike draws": (
        {"what": "predict", "trace": {"slope": np.ones((3, 2)), "spread": np.ones(4)}},
        "unlike numbers of draws",
    ),
    "other axes": (
        {"what": "predict", "trace": {"slope": np.ones((3, 2, 2)), "spread": np.ones(3)}},
        "a draw of 'slope' has 2 axes in the trace, and 1 in the model",
    ),
    "other sizes": (
        {"what": "predict", "trace": {"slope": np.ones((3, 5)), "spread": np.ones(3)}},
        r"a draw of 'slope' has the shape \[5\] in the trace, and \[2\] in the model",
    ),
    "thin": ({"thin": 0}, "thin is 0"),
    "summary": ({"summary": ["mean"]}, "summary is for"),
    "quantile": (
        {"what": "predict", "trace": {"slope": np.ones((3, 2))}, "summary": [2]},
        "numbers between 0 and 1",
    ),
    "variable": ({"what": "deterministics", "var_names": ["men"]}, "'men' is none of"),
    "data": ({"data_inputs": ["z"]}, "no pm.Data named 'z'; it has: x, group_of"),
    "gradient": ({"what": "dlogp", "var_names": ["slope"]}, "takes no var_names"),
}


@pytest.mark.parametrize("call", WRONG)
def test_a_wrong_call_says_what_is_allowed(call: str) -> None:
    arguments, message = WRONG[call]
    with pytest.raises(InvalidRequest, match=message):
        export_model(regression(), **arguments)


def test_a_density_of_given_data_takes_them_as_inputs() -> None:
    exported = export_model(regression(), what="log_likelihood", data_inputs=["x"], verify=True)
    assert len(sizes_of(exported)["x"]) == 2


@pytest.mark.slow
def test_the_page_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parent.parent / "docs" / "pymc.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    for block in blocks:
        if "import bambi" in block and find_spec("bambi") is None:
            continue  # an extra, on the newest line
        exec(compile(block, "docs/pymc.md", "exec"), scope)  # noqa: S102
    for line in capsys.readouterr().out.splitlines():
        assert line in page or "noise" in line
    assert (tmp_path / "predict.onnx").is_file()
