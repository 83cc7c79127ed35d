"""A model in ONNX Runtime against its function in PyTensor, element by element."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx import ModelProto, ValueInfoProto

from onnx_mapper.capture.graph import Parameter
from onnx_mapper.capture.reading import capture
from onnx_mapper.checking.compare import Difference, compare_arrays, tolerance_of
from onnx_mapper.checking.first_difference import FirstDifference, first_difference, rebuilt
from onnx_mapper.checking.trial_inputs import Domain, Trial
from onnx_mapper.checking.tried import as_declared, first_line, own_ports, tried_inputs
from onnx_mapper.errors import InvalidRequest, Mismatch, VerificationWarning
from onnx_mapper.language.arrays import Array
from onnx_mapper.mapping.build import Built
from onnx_mapper.model.file import load, weights_beside
from onnx_mapper.model.metadata import dtype_of, narrowed_to, told_of_draws
from onnx_mapper.model.session import open_session
from onnx_mapper.model.weights import Weights
from onnx_mapper.text_table import TextTable


@dataclass(frozen=True)
class Compared:
    """One output of a model against PyTensor's, over all the inputs that were tried.

    Attributes:
        worst: The worst element of all.
        count: How many elements were compared.
        finite: How many of PyTensor's were finite numbers.
        alike: Whether these were all the same number.
    """

    worst: Difference
    count: int
    finite: int
    alike: bool

    @staticmethod
    def of(differences: Sequence[Difference]) -> Compared:
        """Put the comparisons of one output together."""
        worst = max(differences, key=lambda d: (not d.ok, d.ulps))
        values = {value for d in differences for value in d.range}
        return Compared(
            worst,
            sum(d.count for d in differences),
            sum(d.finite for d in differences),
            len(values) < 2,
        )

    @property
    def ok(self) -> bool:
        """Whether every element is close."""
        return self.worst.ok

    @property
    def weakness(self) -> str:
        """Why the comparison says little; empty where it says enough."""
        if self.finite * 2 < self.count:
            return f"of {self.count} numbers {self.finite} are finite"
        if self.count > 1 and self.alike:
            return f"all {self.count} numbers are the same"
        return ""

    @property
    def numbers(self) -> str:
        """How many numbers were compared, in words."""
        finite = "" if self.finite == self.count else f", {self.finite} finite"
        return f"{self.count}{finite}{', all the same' if self.alike and self.count > 1 else ''}"


@dataclass(frozen=True)
class Verification:
    """The comparison of a model with its function.

    Attributes:
        outputs: One entry per output: the worst element, in ulps, and whether it is close.
        first: Where the numbers part, if they do: the first Apply node whose value differs.
    """

    outputs: tuple[Compared, ...]
    first: FirstDifference | None = None

    @property
    def ok(self) -> bool:
        """Whether every output is close, on numbers that say something."""
        return all(output.ok for output in self.outputs) and not self.weak

    @property
    def weak(self) -> tuple[str, ...]:
        """What was compared and says little, an entry per output."""
        return tuple(f"{o.worst.name}: {o.weakness}" for o in self.outputs if o.weakness)

    @property
    def worst(self) -> Compared:
        """The output that is furthest from PyTensor's."""
        return max(self.outputs, key=lambda output: (not output.ok, output.worst.ulps))

    @property
    def table(self) -> TextTable:
        """The outputs, a line for each, with the worst element of each in ulps."""
        rows = [
            (
                *(o.worst.name, o.numbers, o.worst.where, o.worst.found, o.worst.expected),
                o.worst.ulps_text,
                o.worst.problem or ("says little" if o.weakness else "ok"),
            )
            for o in self.outputs
        ]
        header = (
            "output", "numbers", "worst element", "ONNX Runtime", "PyTensor", "ulps", "verdict"
        )  # fmt: skip
        return TextTable(header, rows)

    def __str__(self) -> str:
        return f"{self.table}\n{self.first}" if self.first else str(self.table)


def verify(
    model: ModelProto | str | os.PathLike[str],
    fn: Any,
    inputs: Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    domain: Domain | None = None,
    mappings: Sequence[str | Path] = (),
    strict: bool = False,
) -> Verification:
    """Run a model in ONNX Runtime, its function in PyTensor, and compare every output.

    What the function holds (shared variables, random states, defaults) stays as it is.

    Args:
        model: The exported model, or its path.
        fn: The function that it was exported from.
        inputs: One array per input of the function, in order or by name. By default seeded random
            numbers, in up to three sets of sizes where sizes are open, of kinds that are found by
            trying, so that most results are finite numbers unlike each other: positive ones for a
            logarithm, all indices of a table, positive definite matrices for a Cholesky factor.
        rtol: Largest relative difference; by default 1e-4 in float32, 1e-9 in float64, exact
            for integers. A model that computes in fewer digits than its function gets 1e-3 for float32,
            1e-2 for float16 and 5e-2 for bfloat16.
        atol: Largest absolute difference; by default `rtol` times the largest element.
        domain: The least and the largest number that some inputs may hold, by their names:
            `{"age": (18, 99)}`. Sizes that the model declares hold anyway: axes of one name have one size.
        mappings: The further rows that the model was exported with, for finding the first
            node that differs.
        strict: Raise, and don't only warn, where the results are mostly NaN or infinite, or all
            the same number.

    Returns:
        Per output how many numbers were compared, and the worst element: its index, both values
        and their distance in ulps.

    Raises:
        Mismatch: When an output has another dtype, shape or other numbers; carries the
            comparison as `report`, with the first node whose value differs.
        InvalidRequest: When the inputs don't fit the function, the path holds no model, the
            model's weights are not in the file beside it that it names, or the model draws random numbers.

    Warns:
        VerificationWarning: When what was compared says little, unless `strict`.

    Example:
        >>> import pytensor, pytensor.tensor as pt
        >>> from onnx_mapper import export
        >>> x = pt.fvector("x")
        >>> fn = pytensor.function([x], pt.exp(x).copy(name="y"))
        >>> verify(export(fn), fn).ok
        True
    """
    loaded = load(model)
    weights = weights_beside(loaded, model)
    return compare(
        loaded,
        fn,
        weights,
        inputs,
        rtol=rtol,
        atol=atol,
        domain=domain,
        mappings=mappings,
        strict=strict,
    )


def compare(
    model: ModelProto,
    fn: Any,
    weights: Weights,
    inputs: Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    domain: Domain | None = None,
    mappings: Sequence[str | Path] = (),
    strict: bool = False,
    built: Built | None = None,
) -> Verification:
    """Hold a model against its function; see `verify`.

    Args:
        model: The model.
        fn: Its function.
        weights: Those that the model refers to.
        inputs: Arrays for the function's inputs.
        rtol: Largest relative difference.
        atol: Largest absolute difference.
        domain: The ranges of some inputs.
        mappings: The further rows that the model was exported with.
        strict: Whether to raise where the results say little.
        built: What came to light while the model was made, if that was just now.
    """
    draws = told_of_draws(model)
    if draws:
        raise InvalidRequest(
            f"{draws}, and the function draws its own: they can't be compared. Leave verification "
            "out, and compare means and quantiles of many draws"
        )
    captured = capture(fn)
    session = open_session(model, weights=weights)
    ports = own_ports(model, captured)
    tried = tried_inputs(model, captured, fn, inputs, domain or {})
    narrow = narrowed_to(model)
    held = _states_to_give(model, captured.parameters)
    runs = [_Run(model, session, ports, trial, held, (rtol, atol, narrow)) for trial in tried]
    outputs = tuple(
        Compared.of(differences) for differences in zip(*(r.outputs for r in runs), strict=True)
    )
    failed = next((run for run in runs if not all(o.ok for o in run.outputs)), None)
    if failed is not None:
        first = first_difference(
            model,
            weights,
            captured,
            built or rebuilt(model, captured, mappings),
            failed.feed,
            failed.trial.inputs,
            (rtol, atol, narrow),
        )
        report = Verification(outputs, first)
        raise Mismatch(f"the model does not give PyTensor's numbers:\n{report}", report)
    report = Verification(outputs)
    if report.weak:
        listed = "\n".join(f"  - {problem}" for problem in report.weak)
        text = (
            f"what was compared says little of the model:\n{listed}\n"
            "Pass inputs=[…] for which the function gives finite numbers that differ."
        )
        if strict:
            raise Mismatch(f"{text}\n{report}", report)
        warnings.warn(text, VerificationWarning, stacklevel=3)
    return report


class _Run:
    """A model's outputs for some inputs, held against PyTensor's."""

    def __init__(
        self,
        model: ModelProto,
        session: Any,
        ports: Sequence[ValueInfoProto],
        trial: Trial,
        held: dict[str, Array],
        limits: tuple[float | None, float | None, str],
    ) -> None:
        self.trial = trial
        self.feed = {
            port.name: as_declared(port, array)
            for port, array in zip(ports, trial.inputs, strict=True)
        } | held
        asked = dtype_of(model) != "keep"
        expected = [
            as_declared(port, array) if asked and array.dtype.kind == "f" else array
            for port, array in zip(model.graph.output, trial.expected, strict=False)
        ]
        names = [port.name for port in model.graph.output]
        try:
            found = session.run(None, self.feed)[: len(expected)]
        except Exception as error:
            self.outputs = [
                Difference(name, False, f"ONNX Runtime fails: {first_line(error)}")
                for name in names[: len(expected)]
            ]
            return
        self.outputs = [
            compare_arrays(name, ours, theirs, *tolerance_of(ours, *limits))
            for name, ours, theirs in zip(names, found, expected, strict=False)
        ]


def _states_to_give(model: ModelProto, parameters: Sequence[Parameter]) -> dict[str, Array]:
    """Return the values of shared variables for which the model has no default."""
    stored = {tensor.name for tensor in model.graph.initializer}
    ports = {port.name: port for port in model.graph.input if port.name not in stored}
    return {
        parameter.name: as_declared(ports[parameter.name], parameter.value)
        for parameter in parameters
        if parameter.updated and parameter.value is not None and parameter.name in ports
    }
