"""Graphs that draw random numbers: refused, or with the random numbers as inputs of the model."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytensor
import pytensor.tensor as pt
import pytest
from helpers import random_noise, run_model
from onnx import ModelProto
from pytensor.scan.utils import until
from pytensor.tensor.random.op import RandomVariable
from pytensor.tensor.random.utils import RandomStream
from scipy import stats

from onnx_mapper import InvalidRequest, Refused, export, export_graph, verify
from onnx_mapper.model.kernels import kernel_table

U = np.concatenate([[1e-12, 0.2500001], np.linspace(0.01, 0.99, 20), [1 - 1e-12]])
Z = stats.norm.ppf(U)

Quantile = Callable[..., Any]


def wrapped(angle: Any) -> Any:
    """Return angles between -pi and pi."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


DRAWS: dict[str, tuple[tuple[float, ...], bool, Quantile]] = {
    "normal": ((1.5, 2.5), True, lambda u, a, b: stats.norm.ppf(u, a, b)),
    "halfnormal": ((1.5, 2.5), True, lambda u, a, b: a + b * np.abs(Z)),
    "lognormal": ((0.5, 0.25), True, lambda u, a, b: stats.lognorm.ppf(u, b, scale=np.exp(a))),
    "uniform": ((1.5, 2.5), False, lambda u, a, b: stats.uniform.ppf(u, a, b - a)),
    "exponential": ((1.5,), False, lambda u, a: stats.expon.ppf(u, scale=a)),
    "truncexpon": ((1.5, 0.5, 2.0), False, lambda u, a, b, c: stats.truncexpon.ppf(u, a, b, c)),
    "weibull": ((1.5,), False, lambda u, a: stats.weibull_min.ppf(u, a)),
    "pareto": ((1.5, 2.5), False, lambda u, a, b: stats.pareto.ppf(u, a, scale=b)),
    "laplace": ((1.5, 2.5), False, lambda u, a, b: stats.laplace.ppf(u, a, b)),
    "logistic": ((1.5, 2.5), False, lambda u, a, b: stats.logistic.ppf(u, a, b)),
    "gumbel": ((1.5, 2.5), False, lambda u, a, b: stats.gumbel_r.ppf(u, a, b)),
    "cauchy": ((1.5, 2.5), False, lambda u, a, b: stats.cauchy.ppf(u, a, b)),
    "halfcauchy": ((1.5, 2.5), False, lambda u, a, b: stats.halfcauchy.ppf(u, a, b)),
    "triangular": ((1.0, 2.0, 5.0), False, lambda u, a, b, c: stats.triang.ppf(u, 0.25, a, 4.0)),
    "bernoulli": ((0.3,), False, lambda u, a: stats.bernoulli.ppf(u, a)),
    "geometric": ((0.3,), False, lambda u, a: stats.geom.ppf(u, a)),
    "integers": ((-3, 7), False, lambda u, a, b: stats.randint.ppf(u, a, b)),
    "gamma": ((0.7, 2.5), False, lambda u, a, b: stats.gamma.ppf(u, a, scale=1 / b)),
    "invgamma": ((3.5, 2.0), False, lambda u, a, b: stats.invgamma.ppf(u, a, scale=b)),
    "beta": ((0.4, 3.0), False, lambda u, a, b: stats.beta.ppf(u, a, b)),
    "t": ((2.5, 1.0, 3.0), False, lambda u, a, b, c: stats.t.ppf(u, a, b, c)),
    "gengamma": (
        (1.2, 0.6, 2.0),
        False,
        lambda u, a, b, c: stats.gengamma.ppf(u, a / b, b, scale=c),
    ),
    "vonmises": ((0.4, 2.5), False, lambda u, a, b: wrapped(a + stats.vonmises.ppf(u, b))),
    "poisson": ((6.5,), False, lambda u, a: stats.poisson.ppf(u, a)),
    "nbinom": ((2.5, 0.3), False, lambda u, a, b: stats.nbinom.ppf(u, a, b)),
    "binomial": ((30, 0.35), False, lambda u, a, b: stats.binom.ppf(u, a, b)),
    "hypergeometric": (
        (15, 22, 9),
        False,
        lambda u, a, b, c: stats.hypergeom.ppf(u, a + b, a, c),
    ),
}


RTOL = {"cauchy": 2e-4, "halfcauchy": 2e-4, "vonmises": 1e-8}
"""Of 1 - 1e-12 few digits are left, which the tail of these distributions tells."""


@pytest.mark.slow
@pytest.mark.parametrize(("compiled", "known"), [(False, False), (True, True)])
@pytest.mark.parametrize("name", DRAWS)
def test_a_draw_is_the_quantile_of_its_noise(name: str, known: bool, compiled: bool) -> None:
    """SciPy's quantile functions are what each draw is compared with, far into the tails."""
    values, normal, quantile = DRAWS[name]
    arrays = [np.full(U.size, value) for value in values]
    parameters = [
        pt.tensor(f"p{i}", dtype=a.dtype.name, shape=(None,)) for i, a in enumerate(arrays)
    ]
    stream = RandomStream(3)
    if known:
        draw = getattr(stream, name)(*values, size=U.size)
        parameters, arrays = [], []
    else:
        draw = getattr(stream, name)(*parameters)
    draw.name = "draw"
    model = (
        export(pytensor.function(parameters, draw), random="input")
        if compiled
        else export_graph(parameters, [draw], random="input")
    )
    assert [port.name for port in model.graph.input] == [p.name for p in parameters] + [
        "draw_noise"
    ]
    assert len(model.graph.output) == 1
    (found,) = run_model(model, *arrays, Z if normal else U)
    assert found.dtype == draw.type.dtype
    np.testing.assert_allclose(found, quantile(U, *values), rtol=RTOL.get(name, 1e-10))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("of", "quantile", "extremes"),
    [
        (pt.random.invgamma, stats.invgamma.ppf, [0.05, 1.0, 40.0, 3e3, 2e5]),
        (pt.random.chisquare, stats.chi2.ppf, [2e-3, 0.1, 2.0, 80.0, 6e3]),
        (pt.random.poisson, stats.poisson.ppf, [0.0, 1e-9, 0.4, 12.0, 300.0, 4e4]),
    ],
)
def test_quantiles_for_small_and_large_parameters(
    of: Any, quantile: Quantile, extremes: list[float]
) -> None:
    a = pt.dvector("a")
    others = [pt.constant(1.0, dtype="float64")] if of is pt.random.invgamma else []
    draw = of(a, *others, size=(U.size, len(extremes)))
    model = export_graph([a], [draw], random="input")
    noise = np.stack([U] * len(extremes), axis=1)
    (found,) = run_model(model, np.array(extremes), noise)
    np.testing.assert_allclose(found, quantile(noise, np.array(extremes)), rtol=1e-10, atol=1e-300)


@pytest.mark.slow
def test_angles_far_apart_and_close_together() -> None:
    kappa = np.array([0.0, 1e-3, 0.3, 8.0, 45.0])
    given = pt.dvector("kappa")
    draw = RandomStream(3).vonmises(0.0, given, size=(U.size, len(kappa)))
    model = export_graph([given], [draw], random="input")
    noise = np.stack([U] * len(kappa), axis=1)
    (found,) = run_model(model, kappa, noise)
    columns = [stats.vonmises.ppf(U, k) if k else 2 * np.pi * (U - 0.5) for k in kappa]
    expected = np.stack(columns, axis=1)
    np.testing.assert_allclose(found[1:-1], expected[1:-1], rtol=1e-7, atol=1e-12)
    assert found[0, -1] == pytest.approx(-1.1078997, abs=1e-5)  # by integration: SciPy is off there


OF_SEVERAL: dict[str, tuple[tuple[float, ...], Any]] = {
    "wald": ((2.0, 3.0), stats.invgauss(2.0 / 3.0, scale=3.0)),
    "betabinom": ((25, 2.0, 3.5), stats.betabinom(25, 2.0, 3.5)),
}


@pytest.mark.parametrize("name", OF_SEVERAL)
@pytest.mark.slow
def test_draws_that_are_made_of_two_numbers(name: str) -> None:
    """Their moments and quantiles are those of SciPy's distribution."""
    values, distribution = OF_SEVERAL[name]
    count = 100_000 if name == "wald" else 20_000
    draw = getattr(RandomStream(3), name)(*values, size=count)
    model = export_graph([], [draw], random="input")
    noise = random_noise(model, np.random.default_rng(9)).values()
    assert len(noise) == 2
    (found,) = run_model(model, *noise)
    error = distribution.std() / np.sqrt(count)
    np.testing.assert_allclose(found.mean(), distribution.mean(), atol=5 * error)
    np.testing.assert_allclose(found.std(), distribution.std(), rtol=0.05)
    shares = [np.mean(found <= distribution.ppf(q)) for q in (0.05, 0.5, 0.95)]
    wanted = [distribution.cdf(distribution.ppf(q)) for q in (0.05, 0.5, 0.95)]
    np.testing.assert_allclose(shares, wanted, atol=0.015)


@pytest.mark.slow
def test_vectors_that_add_up_to_one() -> None:
    alpha = np.array([0.05, 1.5, 4.0])
    model = export_graph([], [RandomStream(3).dirichlet(alpha, size=20_000)], random="input")
    (found,) = run_model(model, np.random.default_rng(2).random((20_000, 3)))
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-14)
    for column, a in zip(found.T, alpha, strict=True):
        share = stats.beta(a, alpha.sum() - a)
        np.testing.assert_allclose(
            np.mean(column <= share.ppf([[0.1], [0.6]]), axis=1), [0.1, 0.6], atol=0.015
        )


@pytest.mark.slow
def test_numbers_of_trials_add_up() -> None:
    chances = np.array([0.2, 0.0, 0.5, 0.3])
    draw = RandomStream(3).multinomial(12, chances, size=4000)
    model = export_graph([], [draw], random="input")
    (found,) = run_model(model, np.random.default_rng(5).random((4000, 4)))
    assert (found.sum(axis=1) == 12).all()
    assert (found[:, 1] == 0).all()
    np.testing.assert_allclose(found.mean(axis=0), 12 * chances, atol=0.15)
    covariance = 12 * (np.diag(chances) - np.outer(chances, chances))
    np.testing.assert_allclose(np.cov(found.T), covariance, atol=0.25)


def test_choices_without_replacement() -> None:
    x, p = pt.dmatrix("x"), pt.dvector("p")
    rows, chances = np.arange(10.0).reshape(5, 2), np.array([0.1, 0.0, 0.4, 0.2, 0.3])
    noise = np.array([0.9, 0.95, 0.5, 0.2, 0.7])
    model = export_graph([x], [pt.random.choice(x, size=(2,), replace=False)], random="input")
    np.testing.assert_array_equal(run_model(model, rows, noise)[0], rows[[1, 0]])
    chosen = pt.random.choice(x, size=(2, 2), replace=False, p=p)
    model = export_graph([x, p], [chosen], random="input")
    (found,) = run_model(model, rows, chances, noise)
    order = np.argsort(-(noise[[0, 2, 3, 4]] ** (1 / chances[[0, 2, 3, 4]])))
    np.testing.assert_array_equal(found.reshape(4, 2), rows[[0, 2, 3, 4]][order])


def test_categories() -> None:
    p = pt.dmatrix("p")
    model = export_graph([p], [RandomStream(1).categorical(p)], random="input")
    odds = np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25], [0.5, 0.25, 0.25]])
    assert run_model(model, odds, np.array([0.25, 0.8, 0.3]))[0].tolist() == [1, 2, 0]


def test_draws_are_refused_with_the_way_out() -> None:
    x = pt.dvector("x")
    stream = RandomStream(5)
    y = x * stream.normal(size=3) + stream.uniform(size=3)
    for attempt in (lambda: export_graph([x], [y]), lambda: export(pytensor.function([x], y))):
        with pytest.raises(Refused, match='random="input"') as caught:
            attempt()
        assert len(caught.value.refusals) == 2


class BootstrapRV(RandomVariable):
    """A distribution that no row knows."""

    name = "bootstrap"
    signature = "()->()"
    dtype = "float64"


def test_draws_from_an_unknown_distribution_are_always_refused() -> None:
    y = BootstrapRV()(1.0, size=3)
    for random in ("refuse", "input"):
        with pytest.raises(Refused, match="no row knows"):
            export_graph([], [y], random=random)


def test_the_model_says_what_its_noise_is() -> None:
    x = pt.dvector("x")
    stream = RandomStream(5)
    y = x + stream.normal(0, 2, size=x.shape) * stream.uniform(size=(3,))
    model = export(pytensor.function([x], y), random="input")
    told = {e.key: e.value for e in model.metadata_props}
    noises = [port for port in model.graph.input if port.name.startswith("noise")]
    assert len(noises) == 2
    for port in noises:
        assert told[f"onnx_mapper.noise.{port.name}"] == port.doc_string
    assert sorted(port.doc_string.split(",")[0] for port in noises) == [
        "standard normal",
        "uniform between 0 and 1",
    ]
    given = {
        port.name: np.full(3, 0.5) if port in noises else np.arange(3.0)
        for port in model.graph.input
    }
    (found,) = run_model(model, *given.values())
    np.testing.assert_allclose(found, np.arange(3.0) + 2 * 0.5 * 0.5)


def test_noise_of_another_shape_is_an_error() -> None:
    """Noise that broadcasts would make draws that depend on each other."""
    x = pt.dvector("x")
    model = export_graph([x], [x + RandomStream(1).normal(size=x.shape)], random="input")
    with pytest.raises(Exception, match="Reshape"):
        run_model(model, np.arange(3.0), np.array([0.5]))


def test_a_function_with_updates_of_its_generators() -> None:
    """The states of generators are no tensors; what else is updated stays an output."""
    count = pytensor.shared(np.float64(0), name="count")
    y = RandomStream(1).normal(size=2)
    model = export(pytensor.function([], y, updates={count: count + 1}), random="input")
    assert [port.name for port in model.graph.output][-1] == "count_next"
    assert len(model.graph.output) == 2


def test_draws_in_a_branch() -> None:
    from pytensor.ifelse import ifelse

    x = pt.dmatrix("x")
    stream = RandomStream(1)
    branch = ifelse(x[0, 0] > 0, stream.normal(size=3), x[0])
    model = export_graph([x], [branch], random="input")
    assert run_model(model, -np.ones((1, 3)), np.zeros(3))[0].tolist() == [-1, -1, -1]


def drawn(distribution: Any, *parameters: Any, rng: Any, **options: Any) -> tuple[Any, Any]:
    """Return a draw and the next state of its generator."""
    state, draw = distribution(*parameters, rng=rng, **options).owner.outputs
    return draw, state


def stepped(*arguments: Any, **options: Any) -> tuple[Any, dict[Any, Any]]:
    """Return what a scan gives and its updates, which PyTensor 3 deprecates and still needs here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        found: tuple[Any, dict[Any, Any]] = pytensor.scan(*arguments, **options)
    return found


def sizes_of_noise(model: ModelProto) -> list[list[int | str]]:
    return [
        [dim.dim_value or dim.dim_param for dim in port.type.tensor_type.shape.dim]
        for port in model.graph.input
        if port.name.startswith("noise")
    ]


@pytest.mark.parametrize("compiled", [False, True])
def test_each_step_of_a_loop_draws_anew(compiled: bool) -> None:
    """An autoregression with normal and exponential noise: numbers for each step, along the steps."""
    x, state = pt.dmatrix("x"), pytensor.shared(np.random.default_rng(3))

    def step(row: Any, before: Any, rng: Any) -> Any:
        shock, rng_between = drawn(pt.random.normal, 0.0, 2.0, rng=rng, size=3)
        wait, rng_after = drawn(pt.random.exponential, 1.5, rng=rng_between)
        return [0.5 * before + row + shock, wait], {rng: rng_after}

    outputs, updates = stepped(
        step, sequences=[x], outputs_info=[pt.zeros(3), None], non_sequences=[state]
    )
    options: dict[str, Any] = {"random": "input", "dims": {"x": ("time", 3)}}
    model = (
        export(pytensor.function([x], outputs, updates=updates), **options)
        if compiled
        else export_graph([x], outputs, **options)
    )
    assert sizes_of_noise(model) == [["time", 3], ["time"]]
    documented = [port.doc_string for port in model.graph.input]
    assert sum("anew for each step of a loop, along the first axis" in d for d in documented) == 2
    rows, u = np.arange(12.0).reshape(4, 3), np.array([0.5, 0.1, 0.9, 0.3])
    z = np.random.default_rng(4).normal(size=(4, 3))
    found, waits = run_model(model, rows, z, u)
    expected, before = [], np.zeros(3)
    for row, shock in zip(rows, z, strict=True):
        before = 0.5 * before + row + 2 * shock
        expected.append(before)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(waits, -1.5 * np.log1p(-u), rtol=1e-12)


def test_loops_within_loops_and_of_any_length() -> None:
    x, n, state = pt.dmatrix("x"), pt.lscalar("n"), pytensor.shared(np.random.default_rng(3))

    def walk(before: Any, rng: Any) -> Any:
        draw, after = drawn(pt.random.normal, before, 1.0, rng=rng)
        return draw, {rng: after}

    def walks(row: Any, rng: Any) -> Any:
        return stepped(walk, outputs_info=[row[0]], non_sequences=[rng], n_steps=5)

    many, _ = stepped(walks, sequences=[x], non_sequences=[state])
    model = export_graph([x], [many], random="input")
    assert sizes_of_noise(model) == [["x_0", 5]]
    z = np.random.default_rng(4).normal(size=(2, 5))
    (found,) = run_model(model, np.array([[1.0], [2.0]]), z)
    np.testing.assert_allclose(found, np.cumsum(z, axis=1) + np.array([[1.0], [2.0]]))

    zero = pt.constant(np.float64(0))
    one, _ = stepped(walk, outputs_info=[zero], non_sequences=[state], n_steps=n)
    model = export_graph([n], [one], random="input")
    assert sizes_of_noise(model) == [["noise_0"]]
    np.testing.assert_allclose(run_model(model, 3, z[0])[0], np.cumsum(z[0, :3]))


@pytest.mark.slow
def test_a_generator_that_steps_do_not_move_gives_each_the_same_numbers() -> None:
    x, state = pt.dmatrix("x"), pytensor.shared(np.random.default_rng(3))
    y, _ = stepped(lambda row: row + pt.random.normal(size=2, rng=state), sequences=[x])
    ours = pytensor.function([x], y)(np.zeros((3, 2)))
    assert (ours == ours[0]).all()
    model = export_graph([x], [y], random="input")
    assert sizes_of_noise(model) == [[2]]
    assert run_model(model, np.zeros((3, 2)), ours[0])[0].tolist() == ours.tolist()


def test_draws_of_a_loop_from_one_state_are_refused() -> None:
    x, state = pt.dvector("x"), pytensor.shared(np.random.default_rng(3))

    def twice(row: Any, rng: Any) -> Any:
        one, after = drawn(pt.random.normal, rng=rng)
        return row + one + pt.random.uniform(rng=rng), {rng: after}

    def behind(row: Any, rng: Any) -> Any:
        one, between = drawn(pt.random.normal, rng=rng)
        return row + one + pt.random.uniform(rng=between), {rng: between}

    def plain(row: Any, rng: Any) -> Any:
        one, after = drawn(pt.random.normal, rng=rng)
        return row + one, {rng: after}

    for step in (twice, behind):
        y, _ = stepped(step, sequences=[x], non_sequences=[state])
        with pytest.raises(Refused, match="another draw reads too"):
            export_graph([x], [y], random="input")
    y, _ = stepped(plain, sequences=[x], non_sequences=[state])
    with pytest.raises(Refused, match="another draw reads too"):
        export_graph([x], [y + pt.random.uniform(rng=state)], random="input")


def test_two_draws_from_one_state_are_refused() -> None:
    """PyTensor makes both from the same random numbers; two inputs would be independent."""
    state = pytensor.shared(np.random.default_rng(1))
    y = pt.random.normal(0, 1, rng=state) + pt.random.uniform(0, 1, rng=state)
    with pytest.raises(Refused, match="another draw reads too"):
        export_graph([], [y], random="input")


def test_a_model_with_noise_is_not_verified() -> None:
    y = RandomStream(1).normal(size=2)
    with pytest.raises(
        InvalidRequest, match=r"takes its random numbers as inputs.*can't be compared"
    ):
        export_graph([], [y], random="input", verify=True)
    model = export_graph([], [y], random="node")
    with pytest.raises(InvalidRequest, match=r"draws random numbers itself.*can't be compared"):
        verify(model, pytensor.function([], y))


def test_single_precision() -> None:
    x = pt.dvector("x")
    y = RandomStream(1).bernoulli(np.float64(0.25), size=4) * x
    model = export_graph([x], [y], random="input", dtype="float32")
    assert {port.type.tensor_type.elem_type for port in model.graph.input} == {1}
    noise = np.array([0.9, 0.1, 0.74, 0.76], "float32")
    assert run_model(model, np.ones(4, "float32"), noise)[0].tolist() == [1, 0, 0, 1]


def test_noise_has_the_sizes_of_what_is_drawn_for() -> None:
    x, w = pt.dmatrix("x"), pt.dvector("w")
    draws = pt.random.normal(x @ w, 1.0), pt.random.uniform((x + w) ** 2, 9)
    model = export_graph(
        [x, w], draws, dims={"x": ("batch", "feature"), "w": ("feature",)}, random="input"
    )
    sizes = {
        p.name: [d.dim_param for d in p.type.tensor_type.shape.dim]
        for p in [*model.graph.input, *model.graph.output]
    }
    assert list(sizes.values()) == [
        ["batch", "feature"],
        ["feature"],
        ["batch"],
        ["batch", "feature"],
        ["batch"],
        ["batch", "feature"],
    ]


def test_a_single_trial_and_an_order() -> None:
    """Dropout by binomial(1, p), and a permutation: both follow uniform noise."""
    p, x = pt.dvector("p"), pt.dmatrix("x")
    kept = pt.random.binomial(1, p)
    model = export_graph([p], [kept], random="input")
    array, noise = np.array([0.2, 0.9, 0.5]), np.array([0.75, 0.15, 0.4])
    assert [int(n) for n in run_model(model, array, noise)[0]] == [0, 1, 0]
    model = export_graph([x], [pt.random.permutation(x)], random="input")
    rows = np.arange(6.0).reshape(3, 2)
    (found,) = run_model(model, rows, noise)
    np.testing.assert_array_equal(found, rows[np.argsort(-noise)])


def runs_of(model: ModelProto, *arrays: Any, count: int) -> list[list[Any]]:
    """Return what one session gives in several runs."""
    onnxruntime.set_seed(4)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    feed = dict(zip([port.name for port in model.graph.input], arrays, strict=True))
    return [session.run(None, feed) for _ in range(count)]


def test_nodes_draw_anew_in_each_run() -> None:
    a, n, state = pt.dvector("a"), pt.lscalar("n"), pytensor.shared(np.random.default_rng(3))
    first, after = drawn(pt.random.normal, a, 2.0, rng=state)
    second, after = drawn(pt.random.normal, a, 2.0, rng=after)
    third, _ = drawn(pt.random.uniform, 3.0, 4.0, size=(n, 2), rng=after)
    model = export_graph([a, n], [first, second, third], random="node")
    assert [port.name for port in model.graph.input] == ["a", "n"]
    runs = runs_of(model, np.full(20000, 5.0), np.array(20000), count=2)
    (x, y, u), (again, _, u_again) = runs
    for numbers in (x, y, again):
        assert stats.kstest(numbers, stats.norm(5, 2).cdf).pvalue > 1e-6
    assert stats.kstest(u.ravel(), stats.uniform(3, 1).cdf).pvalue > 1e-6
    together = np.corrcoef([x, y, again, u[:, 0], u[:, 1], u_again[:, 0]])
    assert np.abs(together - np.eye(6)).max() < 0.05


def test_nodes_draw_in_each_step_of_any_loop() -> None:
    x, state = pt.dvector("x"), pytensor.shared(np.random.default_rng(3))

    def step(before: Any, rng: Any) -> Any:
        draw, after = drawn(pt.random.normal, before, 1.0, rng=rng)
        return [draw], {rng: after}, until(draw.max() > 2.0)

    walks, _ = stepped(step, outputs_info=[x], non_sequences=[state], n_steps=30)
    model = export_graph([x], [walks], random="node")
    (found,) = runs_of(model, np.zeros(2000), count=1)[0]
    assert len(found) < 30
    steps = np.diff(found, axis=0, prepend=0.0)
    assert stats.kstest(steps.ravel(), stats.norm.cdf).pvalue > 1e-6
    assert np.abs(np.corrcoef(steps) - np.eye(len(steps))).max() < 0.15


def test_a_node_is_no_generator_that_stands_still() -> None:
    x, state = pt.dmatrix("x"), pytensor.shared(np.random.default_rng(3))
    y, _ = stepped(lambda row: row + pt.random.normal(size=2, rng=state), sequences=[x])
    with pytest.raises(Refused, match=r"in the same state.*draw before the loop"):
        export_graph([x], [y], random="node")
    both = pt.random.normal(0, 1, rng=state) + pt.random.uniform(0, 1, rng=state)
    with pytest.raises(Refused, match="another draw reads too"):
        export_graph([], [both], random="node")


def test_later_opsets_have_no_nodes_that_draw() -> None:
    """ONNX Runtime loads none; once it does, NEWEST_DRAWING_OPSET is to be moved."""
    y = RandomStream(1).normal(size=2)
    with pytest.raises(InvalidRequest, match="with random='node' it goes up to 21"):
        export_graph([], [y], random="node", opset=22)
    for opset in (18, 21):
        model = export_graph([], [y], random="node", opset=opset)
        assert runs_of(model, count=1)[0][0].shape == (2,)
    for name in ("RandomNormal", "RandomUniform"):
        assert kernel_table().dtypes(name, 1, "T") == {"float32", "float64"}
        assert kernel_table().dtypes(name, 22, "T") == frozenset()
