"""Kinds of PyMC models, as in its galleries: what people sample from, small.

Observations are seeded. Each function returns a `pymc.Model`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt

RNG = np.random.default_rng(8)


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


def latent_process() -> Any:
    """Return a Gaussian process behind a transformation."""
    x = np.linspace(0, 2, 5)[:, None]
    with pm.Model() as model:
        length = pm.InverseGamma("length", 4, 3)
        process = pm.gp.Latent(cov_func=pm.gp.cov.ExpQuad(1, ls=length) + pm.gp.cov.WhiteNoise(0.1))
        rate = pm.Deterministic("rate", pm.math.exp(process.prior("f", X=x)))
        pm.Poisson("y", rate, observed=np.array([0, 2, 1, 3, 1]))
    return model


def process_of_waves() -> Any:
    """Return an approximation of a Gaussian process by waves."""
    x = np.linspace(-1, 1, 7)[:, None]
    with pm.Model() as model:
        length = pm.LogNormal("length", 0, 0.5)
        process = pm.gp.HSGP(m=[6], c=1.5, cov_func=2.0 * pm.gp.cov.Matern32(1, ls=length))
        pm.Normal("y", process.prior("f", X=x), 0.3, observed=np.cos(2 * x).ravel())
    return model


def growth() -> Any:
    """Return a distribution of one's own whose mean is a recurrence, and a penalty."""

    def mean_of(rate: Any, start: Any) -> Any:
        return pytensor.scan(
            lambda size, rate: size + rate * size * (1 - size),
            outputs_info=[start],
            non_sequences=[rate],
            n_steps=5,
            return_updates=False,
        )

    def density_of(value: Any, rate: Any, start: Any) -> Any:
        return pm.logp(pm.Normal.dist(mean_of(rate, start), 0.1), value)

    with pm.Model() as model:
        rate, start = pm.HalfNormal("rate", 1), pm.Beta("start", 2, 5)
        pm.Deterministic("sizes", mean_of(rate, start))
        observed = np.array([0.2, 0.25, 0.33, 0.4, 0.52])
        pm.CustomDist("y", rate, start, logp=density_of, observed=observed)
        pm.Potential("slow", pt.switch(rate > 2, -100.0 * (rate - 2), 0.0))
    return model


def switch_point() -> Any:
    """Return counts whose rate changes at an unknown time, which is a whole number."""
    years = np.arange(9)
    with pm.Model() as model:
        when = pm.DiscreteUniform("when", 1, 7)
        early, late = pm.Exponential("early", 1), pm.Exponential("late", 1)
        rate = pm.Deterministic("rate", pm.math.switch(when >= years, early, late))
        pm.Poisson("y", rate, observed=np.array([4, 5, 4, 1, 0, 1, 4, 3, 4]))
    return model


def neighbours() -> Any:
    """Return effects of regions that are like those of their neighbours."""
    beside = np.array([[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0]])
    with pm.Model() as model:
        likeness = pm.Beta("likeness", 2, 2)
        if pm.__version__.startswith("5."):  # whose CAR asks for a name that PyTensor 2.36.2 lacks
            effect = pm.Normal("effect", 0, likeness, shape=4)
        else:
            effect = pm.CAR("effect", mu=np.zeros(4), W=beside, alpha=likeness, tau=2.0)
        smooth = pm.ICAR("smooth", W=beside)
        pm.Poisson("y", pm.math.exp(effect + smooth), observed=np.array([1, 0, 3, 2]))
    return model


def network() -> Any:
    """Return a network whose weights are uncertain."""
    x = RNG.normal(size=(6, 3))
    with pm.Model() as model:
        data = pm.Data("data", x)
        first = pm.Normal("first", 0, 1, shape=(3, 4))
        second = pm.Laplace("second", 0, 1, shape=(4,))
        hidden = pm.math.tanh(data @ first)
        chance = pm.Deterministic("chance", pm.math.sigmoid(hidden @ second))
        pm.Bernoulli("y", chance, observed=RNG.integers(0, 2, 6))
    return model


def volatility() -> Any:
    """Return returns whose spread follows those before, and a walk whose steps have heavy tails."""
    with pm.Model() as model:
        drift = pm.HalfNormal("drift", 1)
        own, last = pm.Beta("own", 2, 4), pm.Beta("last", 2, 4)
        observed = np.array([0.1, -0.4, 0.9, -1.2, 0.3])
        pm.GARCH11(
            "y", omega=drift, alpha_1=own / 2, beta_1=last / 2, initial_vol=0.5, observed=observed
        )
        steps = pm.StudentT.dist(nu=4, mu=0, sigma=drift)
        pm.RandomWalk("walk", innovation_dist=steps, init_dist=pm.Normal.dist(0, 1), steps=4)
    return model


def rarer_densities() -> Any:
    """Return densities that fewer models have."""
    positive, unit = np.array([0.4, 1.3, 2.2]), np.array([0.2, 0.5, 0.9])
    with pm.Model() as model:
        a, b = pm.HalfNormal("a", 2), pm.LogNormal("b", 0, 1)
        pm.BetaBinomial("beta_binomial", alpha=a, beta=b, n=7, observed=np.array([0, 3, 7]))
        pm.HyperGeometric("hyper_geometric", N=20, k=7, n=5, observed=np.array([0, 2, 4]))
        pm.Kumaraswamy("kumaraswamy", a, b, observed=unit)
        pm.LogitNormal("logit_normal", a, b, observed=unit)
        pm.SkewNormal("skew_normal", mu=a, sigma=b, alpha=2, observed=positive)
        pm.ExGaussian("ex_gaussian", mu=a, sigma=b, nu=0.5, observed=positive)
        pm.Gumbel("gumbel", a, b, observed=positive)
        pm.Pareto("pareto", a, 0.3, observed=positive)
        pm.Rice("rice", nu=a, sigma=b, observed=positive)
        pm.Wald("wald", mu=a, lam=b, observed=positive)
        pm.Moyal("moyal", a, b, observed=positive)
        pm.AsymmetricLaplace("asymmetric", b=b, kappa=a, mu=0.2, observed=positive)
        pm.Triangular("triangular", lower=0, upper=3, c=1.1, observed=positive)
        pm.DiscreteWeibull("discrete_weibull", q=0.4, beta=b, observed=np.array([0, 1, 3]))
        pm.HalfStudentT("half_student", nu=3, sigma=b, observed=positive)
    return model


def matrices_of_observations() -> Any:
    """Return tables of observations that depend on each other along both axes."""
    rows = np.array([[1.0, 0.2], [0.2, 0.8]])
    columns = np.array([[1.0, 0.1, 0], [0.1, 1.5, 0.2], [0, 0.2, 0.9]])
    with pm.Model() as model:
        middle = pm.Normal("middle", 0, 1, shape=(2, 3))
        pm.MatrixNormal("m", middle, rowcov=rows, colcov=columns, observed=RNG.normal(size=(2, 3)))
        heavy = {"nu": 4, "mu": middle[0], "scale": columns}
        pm.MvStudentT("t", **heavy, observed=RNG.normal(size=(4, 3)))
    return model


def broken_stick() -> Any:
    """Return a mixture whose weights are parts of a stick that is broken again and again."""
    with pm.Model() as model:
        weights = pm.StickBreakingWeights("weights", alpha=1.5, K=2)
        parts = pm.Normal.dist([-1, 0, 2], 0.7, shape=3)
        pm.Mixture("y", weights, parts, observed=RNG.normal(size=5))
    return model


def named_axes() -> Any:
    """Return a model whose axes go by their names."""
    import pymc.dims as dims

    coords = {"school": range(4), "year": range(3)}
    with pm.Model(coords=coords) as model:
        level = dims.Normal("level", 0, 2, dims="school")
        trend = dims.Normal("trend", 0, 1, dims="year")
        chance = dims.Deterministic("chance", dims.math.sigmoid(level + trend))
        data = dims.as_xtensor(RNG.normal(size=(4, 3)), dims=("school", "year"))
        dims.Normal("y", chance, 0.5, observed=data, dims=("school", "year"))
    return model


MODELS = [
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
    latent_process,
    process_of_waves,
    growth,
    switch_point,
    neighbours,
    network,
    volatility,
    rarer_densities,
    matrices_of_observations,
    broken_stick,
    named_axes,
]
