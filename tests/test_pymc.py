"""Models from PyMC: densities, their gradients, and predictions leave as ONNX models."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytensor
import pytensor.tensor as pt
import pytest
from helpers import RAW, assert_same, forget_modules, random_noise, run_model
from scipy import stats

import onnx_mapper
from onnx_mapper import InvalidRequest, Refused, export, export_graph
from onnx_mapper.conformance.run.distributions import difference

pm = pytest.importorskip("pymc", reason="no PyMC goes with this PyTensor")
car = importlib.import_module("pymc.distributions.multivariate").car
RNG = np.random.default_rng(8)

SPLINES = """
import numpy as np
import pytensor.tensor as pt
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op


class BSplineBasis(Op):
    __props__ = ("sparse",)

    def __init__(self, sparse):
        self.sparse = sparse

    def make_node(self, *inputs):
        points, k, degree = map(pt.as_tensor, inputs)
        return Apply(self, [points, k, degree], [pt.matrix(dtype=points.dtype)])

    def perform(self, node, inputs, storage):
        points, k, degree = inputs
        storage[0][0] = np.vander(points, int(k))
"""


def eight_schools() -> Any:
    """Return the model of Rubin (1981), not centred."""
    effects = np.array([28.0, 8, -3, 7, -1, 1, 18, 12])
    errors = np.array([15.0, 10, 16, 11, 9, 11, 10, 18])
    with pm.Model() as model:
        mean = pm.Normal("mean", 0, 5)
        spread = pm.HalfCauchy("spread", 5)
        offset = pm.Normal("offset", 0, 1, shape=8)
        pm.Normal(
            "effect", pm.Deterministic("school", mean + spread * offset), errors, observed=effects
        )
    return model


def varying_slopes() -> Any:
    """Return a regression whose slopes and intercepts vary together between groups."""
    groups, x = np.array([0, 0, 1, 2, 2, 3, 1, 0]), RNG.normal(size=8)
    y = 1 + 0.5 * x + RNG.normal(size=8) * 0.3
    with pm.Model() as model:
        centre = pm.Normal("centre", 0, 2, shape=2)
        spread = pm.HalfNormal("spread", 1)
        covariance = spread**2 * np.array([[1.0, 0.3], [0.3, 0.5]])
        slopes = pm.MvNormal("slopes", mu=centre, cov=covariance, shape=(4, 2))
        noise = pm.HalfNormal("noise", 1)
        mean = slopes[groups, 0] + slopes[groups, 1] * x
        pm.StudentT("y", nu=4, mu=mean, sigma=noise, observed=y)
    return model


def counts_and_choices() -> Any:
    """Return a model of discrete observations with bounded and simplex parameters."""
    x = RNG.normal(size=10)
    with pm.Model() as model:
        weights = pm.Dirichlet("weights", np.array([1.0, 2.0, 3.0]))
        rate = pm.Gamma("rate", alpha=2, beta=1)
        chance = pm.Beta("chance", 2, 3)
        slope = pm.Uniform("slope", -1, 2)
        pm.Poisson("count", rate * pm.math.exp(slope * x), observed=RNG.poisson(2, 10))
        pm.Bernoulli("hit", chance, observed=RNG.integers(0, 2, 10))
        pm.Categorical("kind", weights, observed=RNG.integers(0, 3, 10))
        pm.NegativeBinomial("many", mu=rate, alpha=3.0, observed=RNG.poisson(3, 10))
    return model


def gaussian_process() -> Any:
    """Return a Gaussian process regression."""
    x = np.linspace(0, 3, 7)[:, None]
    with pm.Model() as model:
        length, scale = pm.Gamma("length", 2, 1), pm.HalfNormal("scale", 2)
        process = pm.gp.Marginal(cov_func=scale**2 * pm.gp.cov.Matern52(1, ls=length))
        process.marginal_likelihood("y", X=x, y=np.sin(x).ravel(), sigma=pm.HalfNormal("noise", 1))
    return model


def periodic_process() -> Any:
    """Return a periodic process in its basis: Bessel functions of all orders weigh the waves."""
    x = np.linspace(0, 3, 9)[:, None]
    with pm.Model() as model:
        length, scale = pm.Gamma("length", 2, 1), pm.HalfNormal("scale", 2)
        waves = pm.gp.cov.Periodic(1, period=1.5, ls=length)
        process = pm.gp.HSGPPeriodic(m=6, scale=scale, cov_func=waves)
        pm.Normal("y", process.prior("f", X=x), 0.3, observed=np.sin(x).ravel())
    return model


def process_on_a_grid() -> Any:
    """Return a process whose covariance is a Kronecker product, by the eigenvalues of its factors."""
    axes = [np.linspace(0, 1, 4)[:, None], np.linspace(0, 2, 3)[:, None]]
    with pm.Model() as model:
        length = pm.Gamma("length", 2, 1, shape=2)
        covariances = [pm.gp.cov.ExpQuad(1, ls=length[0]), pm.gp.cov.Matern32(1, ls=length[1])]
        process = pm.gp.MarginalKron(cov_funcs=covariances)
        noise = pm.HalfNormal("noise", 1)
        process.marginal_likelihood("y", Xs=axes, y=RNG.normal(size=12), sigma=noise)
    return model


MODELS = [
    eight_schools,
    varying_slopes,
    counts_and_choices,
    gaussian_process,
    periodic_process,
    process_on_a_grid,
]


def density(model: Any) -> tuple[list[Any], list[Any], list[np.ndarray], list[np.ndarray]]:
    """Return inputs, log-density and gradient, a point, and what PyTensor's own Python gives there."""
    inputs = model.value_vars
    start = model.initial_point()
    arrays = [
        np.asarray(start[v.name] + RNG.normal(size=np.shape(start[v.name])) * 0.1) for v in inputs
    ]
    outputs = [model.logp(), model.dlogp()]
    function = pytensor.function(inputs, outputs, mode=RAW, on_unused_input="ignore")
    return inputs, outputs, arrays, function(*arrays)


@pytest.mark.slow
@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_density_and_gradient(build: Any) -> None:
    """What samplers ask for, of the unconstrained values, compiled by PyMC and symbolic."""
    inputs, outputs, arrays, expected = density(build())
    symbolic = export_graph(inputs, outputs)
    assert_same(run_model(symbolic, *arrays), expected, 1e-9, 1e-9)
    compiled = export(pm.compile(inputs, outputs, on_unused_input="ignore"))
    assert_same(run_model(compiled, *arrays), expected, 1e-9, 1e-9)


def test_predictions_of_given_values() -> None:
    """A deterministic quantity, with new data and a posterior's values as inputs."""
    with pm.Model() as model:
        x = pm.Data("x", RNG.normal(size=(5, 2)))
        slope = pm.Normal("slope", 0, 1, shape=2)
        chance = pm.Deterministic("chance", pm.math.sigmoid(x @ slope))
        pm.Bernoulli("y", chance, observed=np.array([0, 1, 1, 0, 1]))
    (replaced,) = model.replace_rvs_by_values([chance])
    value = model.rvs_to_values[slope]
    onnx = export_graph([value], [replaced], output_names=["chance"])
    array = np.array([0.3, -1.2])
    expected = 1 / (1 + np.exp(-(x.get_value() @ array)))
    assert_same(run_model(onnx, array), [expected], 1e-12)
    assert [weight.name for weight in onnx.graph.initializer if weight.name == "x"] == ["x"]


def test_predictive_draws_need_their_noise_as_input() -> None:
    """A prior predictive draw is refused, with the way out, and then follows its noise."""
    with pm.Model():
        mean = pm.Normal("mean", 2, 3)
        y = pm.Normal("y", mean, 0.5, shape=4)
    with pytest.raises(Refused, match='random="input"'):
        export_graph([], [y], output_names=["draw"])
    model = export_graph([], [y], output_names=["draw"], random="input")
    shapes = {
        p.name: [d.dim_value for d in p.type.tensor_type.shape.dim] for p in model.graph.input
    }
    assert sorted(shapes.values()) == [[], [4]]
    noise = {name: RNG.normal(size=shape) for name, shape in shapes.items()}
    first = next(noise[name] for name, shape in shapes.items() if not shape)
    second = next(noise[name] for name, shape in shapes.items() if shape)
    arrays = [noise[port.name] for port in model.graph.input]
    assert_same(run_model(model, *arrays), [2 + 3 * first + 0.5 * second], 1e-12)


PREDICTED: dict[str, Any] = {
    "poisson": lambda m: pm.Poisson("y", pm.math.exp(m)),
    "negative_binomial": lambda m: pm.NegativeBinomial("y", mu=pm.math.exp(m), alpha=1.5),
    "zero_inflated": lambda m: pm.ZeroInflatedPoisson("y", 0.4, pm.math.exp(m)),
    "student": lambda m: pm.StudentT("y", nu=4, mu=m, sigma=1.5),
    "binomial": lambda m: pm.Binomial("y", n=9, p=pm.math.invlogit(m)),
    "beta_binomial": lambda m: pm.BetaBinomial("y", n=9, alpha=pm.math.exp(m), beta=2),
    "gamma": lambda m: pm.Gamma("y", alpha=2, beta=pm.math.exp(m)),
    "beta": lambda m: pm.Beta("y", mu=pm.math.invlogit(m), nu=5),
    "truncated": lambda m: pm.TruncatedNormal("y", mu=m, sigma=1, lower=0),
    "inverse_gamma": lambda m: pm.InverseGamma("y", alpha=3, beta=pm.math.exp(m)),
    "wald": lambda m: pm.Wald("y", mu=pm.math.exp(m), lam=2),
    "skew_normal": lambda m: pm.SkewNormal("y", mu=m, sigma=1, alpha=3),
    "discrete_uniform": lambda m: pm.DiscreteUniform("y", 0, pm.math.floor(pm.math.exp(m)) + 2),
    "dirichlet": lambda m: pm.Dirichlet("y", pm.math.exp(m)[:, None] * np.array([1.0, 2.0])),
    "correlated": lambda m: pm.MvNormal("y", m[:, None] * np.ones(2), cov=[[2, 1], [1, 3]]),
    "skew_student": lambda m: pm.SkewStudentT("y", a=3, b=pm.math.exp(m) + 2, mu=m, sigma=1),
    "broken_stick": lambda m: pm.StickBreakingWeights("y", alpha=pm.math.exp(m) + 1, K=3),
    "interpolated": lambda m: pm.Interpolated(
        "y", np.array([0, 1, 2.5, 3]), np.array([1, 3, 2, 0.5]), shape=3000
    ),
}


def starts(*shape: int) -> Any:
    return pm.Normal.dist(0, 1, shape=shape)


SERIES: dict[str, Any] = {
    "autoregression": lambda: pm.AR(
        "y", rho=[0.3, 0.5], sigma=1.0, init_dist=starts(3000, 1), shape=(3000, 5)
    ),
    "volatility": lambda: pm.GARCH11(
        "y", omega=1.0, alpha_1=0.2, beta_1=0.3, initial_vol=1.0, shape=(3000, 4)
    ),
    "diffusion": lambda: pm.EulerMaruyama(
        "y",
        dt=0.1,
        sde_fn=lambda x, rate: (-rate * x, 0.5),
        sde_pars=(0.3,),
        init_dist=starts(),
        shape=(3000, 5),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("process", SERIES)
def test_a_series_is_drawn_step_by_step(process: str) -> None:
    """PyMC draws it in a scan: the noise has numbers for each step, along its first axis."""
    with pm.Model():
        y = SERIES[process]()
    model = export_graph([], [y], random="input")
    noise = random_noise(model, np.random.default_rng(6))
    assert any("anew for each step of a loop" in port.doc_string for port in model.graph.input)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found = np.asarray(session.run(None, noise)[0])
    assert difference(found, np.asarray(pm.draw(y, random_seed=4))) == ""


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", PREDICTED)
def test_a_prior_predictive_draw_leaves_as_a_model(likelihood: str) -> None:
    """Its draws have PyMC's distribution when its noise has the distribution that it asks for."""
    with pm.Model():
        y = PREDICTED[likelihood](pm.Normal("group", 0.3, 0.7, shape=3000))
    model = export_graph([], [y], random="input")
    noise = random_noise(model, np.random.default_rng(6))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found = np.asarray(session.run(None, noise)[0])
    assert difference(found, np.asarray(pm.draw(y, random_seed=4))) == ""


U = np.concatenate([[1e-9, 0.25], np.linspace(0.01, 0.99, 12), [1 - 1e-9]])


def test_draws_are_quantiles_of_their_distributions() -> None:
    """Fed with uniform numbers they give what SciPy's quantile functions and integrals give."""
    skewed = pm.SkewStudentT.dist(a=3, b=1.5, mu=0.5, sigma=2, shape=U.size)
    model = export_graph([], [skewed], random="input")
    expected = stats.jf_skew_t.ppf(U, 3, 1.5, 0.5, 2)
    assert_same(run_model(model, U), [expected], 1e-9, 1e-10)
    x, height = np.array([0.0, 1, 2.5, 3]), np.array([1.0, 3, 2, 0.5])
    height /= np.trapezoid(height, x)
    between = pm.Interpolated.dist(x, height, shape=U.size)
    (drawn,) = run_model(export_graph([], [between], random="input"), U)
    below = [
        np.trapezoid(np.interp(up := np.union1d(x[x < place], place), x, height), up)
        for place in drawn
    ]
    np.testing.assert_allclose(below, U, rtol=1e-10, atol=1e-12)


def test_draws_are_made_of_their_parts() -> None:
    """Matrices by their factors, a stick by what is broken off it."""
    rows, columns = np.array([[1.0, 0], [0.5, 2]]), np.array([[1.0, 0, 0], [-1, 2, 0], [0.5, 1, 1]])
    mean, z = RNG.normal(size=(2, 3)), RNG.normal(size=(2, 3))
    matrix = pm.MatrixNormal.dist(mean, rowchol=rows, colchol=columns)
    model = export_graph([], [matrix], random="input")
    assert_same(run_model(model, z), [mean + rows @ z @ columns.T], 1e-12)
    stick = pm.StickBreakingWeights.dist(alpha=1.5, K=3)
    (weights,) = run_model(export_graph([], [stick], random="input"), U[2:6])
    kept = U[2:5] ** (1 / 1.5)
    expected = np.array([*((1 - kept) * [1, kept[0], kept[0] * kept[1]]), np.prod(kept)])
    np.testing.assert_allclose(weights, expected, rtol=1e-10)
    assert weights.sum() == pytest.approx(1, rel=1e-14)


@pytest.mark.slow
def test_a_density_between_known_points_and_its_gradient() -> None:
    """Its spline is an object of SciPy's, of which the model has the numbers."""
    points = np.array([0.0, 1, 2.5, 3, 5])
    with pm.Model() as model:
        place = pm.Interpolated("place", points, np.array([0.1, 2, 1, 3, 0.2]))
        pm.Normal("y", place, 0.5, observed=2.2)
    inputs, outputs, arrays, expected = density(model)
    assert_same(run_model(export_graph(inputs, outputs), *arrays), expected, 1e-9, 1e-9)


@pytest.mark.parametrize(
    ("draw", "reason"),
    [
        (
            lambda: car(np.zeros(3), np.ones((3, 3)) - np.eye(3), 0.5, 2.0, np.array(True)),
            "the square of",
        ),
        (lambda: pm.Flat.dist(), "can't be drawn from"),
    ],
    ids=["autoregression", "flat"],
)
def test_draws_that_pymc_does_not_make_as_its_density_says_are_refused(
    draw: Any, reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        export_graph([], [draw()], random="input")


@pytest.mark.slow
def test_an_impossible_parameter_has_no_density() -> None:
    """As in the functions that PyMC compiles: the density is -inf, and not a number."""
    with pm.Model() as model:
        spread = pm.Normal("spread", 0, 1)
        pm.Normal("y", 0, spread, observed=np.array([0.3, 1.2]))
    exported = export_graph(model.value_vars, [model.logp()])
    compiled = model.compile_logp()
    for value in (0.8, -0.8):
        (found,) = run_model(exported, np.array(value))
        np.testing.assert_allclose(found, compiled({"spread": np.array(value)}), rtol=1e-12)
    assert found == -np.inf


def test_a_basis_of_splines_is_refused_unless_it_is_constant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pymc-extras defines it: SciPy computes it, so its size must be known."""
    home = tmp_path / "pymc_extras" / "utils"
    home.mkdir(parents=True)
    (home / "spline.py").write_text(SPLINES, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    forget_modules(monkeypatch, "pymc_extras", "pymc_extras.utils", "pymc_extras.utils.spline")
    basis = importlib.import_module("pymc_extras.utils.spline").BSplineBasis(sparse=False)
    points = np.array([0.1, 0.5, 0.7])
    x = pt.tensor("x", shape=(None,))
    with pytest.raises(Refused, match=r"its basis becomes a constant .*pymc_extras\.yaml"):
        export_graph([x], [pt.dot(basis(points, x.shape[0], 3), x)])
    known = pt.tensor("known", shape=(3,))
    model = export_graph([known], [pt.dot(basis(points, known.shape[0], 3), known)])
    assert [weight.dims for weight in model.graph.initializer if len(weight.dims) == 2] == [[3, 3]]
    array = np.array([0.3, -1.2, 2.0])
    assert_same(run_model(model, array), [np.vander(points, 3) @ array], 1e-12)


@pytest.mark.slow
def test_what_pymc_compiles_holds_a_function() -> None:
    with pm.Model() as model:
        pm.Normal("a", 0, 1)
    point = model.compile_logp()
    for held, inner in (
        (point, point.f),
        (model.logp_dlogp_function(ravel_inputs=True), None),
    ):
        function = inner or held._pytensor_function
        array = np.array([0.3]) if inner is None else np.array(0.3)
        results = function(array)
        expected = results if isinstance(results, list) else [results]
        assert_same(run_model(export(held), array), expected, 1e-12)
    with pytest.raises(InvalidRequest, match=r"call onnx_mapper\.pymc\.export_model\(model, path"):
        export(model)


@pytest.mark.parametrize("channels", [2, None], ids=["known", "open"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-4)])
@pytest.mark.slow
def test_adstock_with_a_kernel_for_each_channel_and_its_gradient(
    channels: int | None, dtype: str, tolerance: float
) -> None:
    """PyTensor's gradient gives each signal of a batch its flag, full or valid; all are the same."""
    spend = pt.tensor("spend", shape=(channels, None), dtype=dtype)
    alpha = pt.tensor("alpha", shape=(channels,), dtype=dtype)
    kernel = alpha[:, None] ** np.arange(4, dtype=dtype)
    carried = pt.signal.convolve1d(spend, kernel, mode="full")[:, :12]
    gradient = pytensor.grad((carried * np.arange(12, dtype=dtype)).sum(), alpha)
    arrays = [RNG.random((2, 12)).astype(dtype), np.array([0.3, 0.6], dtype=dtype)]
    function = pytensor.function([spend, alpha], [carried, gradient], mode="FAST_COMPILE")
    model = export_graph([spend, alpha], [carried, gradient])
    assert_same(run_model(model, *arrays), function(*arrays), tolerance)


def test_densities_run_in_onnx_runtime_as_pymc_calls_them() -> None:
    model = eight_schools()
    point = model.initial_point()
    density, gradient = model.compile_logp(), model.compile_dlogp()
    np.testing.assert_allclose(onnx_mapper.compile(density)(point), density(point), rtol=1e-12)
    in_mode = model.compile_dlogp(mode="ONNX")
    np.testing.assert_allclose(in_mode(point), gradient(point), rtol=1e-12, atol=1e-12)
