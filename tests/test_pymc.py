"""Models from PyMC: densities, their gradients, and predictions leave as ONNX models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor
import pytest
from helpers import RAW, assert_same, run_model

from onnx_mapper import Refused, export, export_graph

pm = pytest.importorskip("pymc", reason="no PyMC goes with this PyTensor")
RNG = np.random.default_rng(8)


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


MODELS = [eight_schools, varying_slopes, counts_and_choices, gaussian_process]


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


def logistic_with_groups() -> Any:
    """Return a logistic regression whose intercepts vary between groups."""
    groups = np.array([0, 1, 2, 0, 1, 2, 2, 1])
    with pm.Model() as model:
        spread = pm.Exponential("spread", 1)
        level = pm.ZeroSumNormal("level", spread, shape=3)
        slope = pm.Normal("slope", 0, 1)
        x = RNG.normal(size=8)
        pm.Bernoulli("y", logit_p=level[groups] + slope * x, observed=RNG.integers(0, 2, 8))
    return model


def mixture() -> Any:
    """Return a mixture of two normal distributions, whose density is a log-sum-exp."""
    with pm.Model() as model:
        weights = pm.Dirichlet("weights", np.array([1.0, 2.0]))
        means = pm.Normal("means", [-1.0, 2.0], 1, shape=2)
        parts = pm.Normal.dist(means, 1.5, shape=2)
        pm.Mixture("y", weights, parts, observed=RNG.normal(size=5))
    return model


def zero_inflated() -> Any:
    """Return counts with more zeros than a Poisson or a negative binomial has."""
    with pm.Model() as model:
        psi, rate = pm.Beta("psi", 2, 2), pm.Gamma("rate", 2, 1)
        pm.ZeroInflatedPoisson("y", psi, rate, observed=np.array([0, 3, 0, 1, 0]))
        pm.ZeroInflatedNegativeBinomial("z", psi, rate, 2.0, observed=np.array([0, 2, 0, 5]))
    return model


def censored_and_truncated() -> Any:
    """Return observations that were cut off, in both ways."""
    with pm.Model() as model:
        mean, spread = pm.Normal("mean", 0, 1), pm.HalfNormal("spread", 1)
        latent = pm.Normal.dist(mean, spread)
        pm.Censored("c", latent, lower=-1, upper=1.5, observed=np.array([-1, 0.3, 1.5, 0.9]))
        pm.TruncatedNormal("t", mean, spread, lower=0, observed=np.array([0.2, 1.1]))
    return model


def ordered_choices() -> Any:
    """Return an ordered logistic regression."""
    with pm.Model() as model:
        cuts = pm.Normal("cuts", [-1, 1], 1, shape=2, transform=pm.distributions.transforms.ordered)
        slope = pm.Normal("slope", 0, 1)
        x = RNG.normal(size=6)
        pm.OrderedLogistic(
            "y", eta=slope * x, cutpoints=cuts, observed=np.array([0, 1, 2, 1, 0, 2])
        )
    return model


def random_walk() -> Any:
    """Return a random walk and an autoregression, seen with noise."""
    with pm.Model() as model:
        walk = pm.GaussianRandomWalk("walk", sigma=0.5, init_dist=pm.Normal.dist(0, 1), shape=6)
        auto = pm.AR("auto", [0.3, 0.2], init_dist=pm.Normal.dist(0, 1), shape=6)
        pm.Normal("y", walk + auto, 0.3, observed=RNG.normal(size=6))
    return model


def directions() -> Any:
    """Return angles, whose density has a Bessel function that PyMC defines itself."""
    with pm.Model() as model:
        middle, strength = pm.Normal("middle", 0, 1), pm.HalfNormal("strength", 3)
        pm.VonMises("y", middle, strength, observed=np.array([0.3, -1.2, 2.1]))
    return model


def correlated_effects() -> Any:
    """Return a multivariate normal with a correlation matrix of its own."""
    with pm.Model() as model:
        if pm.__version__.startswith("5."):  # whose LKJ needs an older NumPy
            factor = pm.expand_packed_triangular(2, pm.Normal("packed", [1, 0, 2], 0.1, shape=3))
        else:
            factor, _, _ = pm.LKJCholeskyCov("factor", n=2, eta=2, sd_dist=pm.Exponential.dist(1))
        pm.MvNormal("y", np.zeros(2), chol=factor, observed=RNG.normal(size=(4, 2)))
    return model


def counts_of_kinds() -> Any:
    """Return multinomial counts, with and without overdispersion."""
    with pm.Model() as model:
        weights = pm.Dirichlet("weights", np.ones(3))
        pm.Multinomial("m", 10, weights, observed=np.array([3, 5, 2]))
        pm.DirichletMultinomial("d", 9, 4 * weights, observed=np.array([4, 1, 4]))
    return model


def survival() -> Any:
    """Return waiting times of several kinds, one of them with a term of its own."""
    with pm.Model() as model:
        shape, scale = pm.HalfNormal("shape", 2), pm.HalfNormal("scale", 2)
        times = np.array([0.4, 1.3, 2.2])
        pm.Weibull("w", shape, scale, observed=times)
        pm.InverseGamma("i", shape, scale, observed=times)
        pm.Potential("later", -((5.0 / scale) ** shape))
    return model


KINDS = [
    logistic_with_groups,
    mixture,
    zero_inflated,
    censored_and_truncated,
    ordered_choices,
    random_walk,
    directions,
    correlated_effects,
    counts_of_kinds,
    survival,
]


@pytest.mark.slow
@pytest.mark.parametrize("build", KINDS, ids=lambda build: build.__name__)
def test_density_of_a_kind(build: Any) -> None:
    """Density and gradient, as PyMC gives them and without warnings about digits."""
    inputs, outputs, arrays, expected = density(build())
    exported = export_graph(inputs, outputs, strict=True)
    assert_same(run_model(exported, *arrays), expected, 1e-8, 1e-9)


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
