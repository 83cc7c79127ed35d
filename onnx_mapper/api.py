"""The main job: a PyTensor function in, an ONNX model out."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pytensor
from onnx import ModelProto

from onnx_mapper.capture.captured import Captured, capture, capture_variables
from onnx_mapper.errors import (
    DriftWarning,
    InvalidRequest,
    PrecisionWarning,
    Refusal,
    Refused,
    gather_refusals,
)
from onnx_mapper.language.nodes import Source
from onnx_mapper.language.tensors import Value
from onnx_mapper.language.values import DTYPES
from onnx_mapper.mapping.engine import (
    Dtypes,
    Engine,
    Generator,
    InnerStep,
    Swallowed,
    is_generator,
    is_tensor_type,
)
from onnx_mapper.mapping.equal_sizes import AxisOfInput, EqualSizes
from onnx_mapper.model.builder import GraphBuilder, Narrowed
from onnx_mapper.model.finish import Port, check_target, finish, save, with_named_sizes
from onnx_mapper.model.prune import nodes_of
from onnx_mapper.opsets import DEFAULT_OPSET, ir_version_of
from onnx_mapper.options import Dimension, Dims, DtypePolicy, Options, RandomPolicy, WidePolicy
from onnx_mapper.rows.table import Table, load_table

DTYPE_KEY = "onnx_mapper.dtype"
NARROWED_KEY = "onnx_mapper.narrowed"
NOISE_KEY = "onnx_mapper.noise."


def export(
    fn: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    opset: int = DEFAULT_OPSET,
    dtype: DtypePolicy = "keep",
    dims: Dims | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    mappings: Sequence[str | Path] = (),
    random: RandomPolicy = "refuse",
    wide: WidePolicy = "refuse",
    strict: bool = False,
    verify: bool = False,
) -> ModelProto:
    """Turn a compiled PyTensor function into an ONNX model that gives the same numbers.

    What the function runs is what is exported: inputs in order, then as outputs the
    function's outputs and the next values of shared variables that it updates. Shared
    variables become initializers under their names.

    Args:
        fn: What `pytensor.function` returned, or a `FunctionGraph`.
        path: Where to write the model as well; an earlier file stays until the new one is
            complete.
        opset: The ONNX opset, 18 to 28.
        dtype: "keep" for PyTensor's dtypes, "float32" for a model in which every float64,
            inputs and shared variables included, is float32.
        dims: Names or sizes for the axes of inputs, by the input's name:
            `{"x": ("batch", 3, None, None)}`. Unknown sizes are named `x_0`, `x_1` … otherwise.
        input_names: Names for the inputs, instead of the variables' own.
        output_names: Names for the outputs, instead of the variables' own.
        mappings: Folders or files of further rows; they go before the package's.
        random: "refuse" for an error where the function draws random numbers: no ONNX model can
            repeat NumPy's. With "input" each draw whose distribution has a closed quantile
            function becomes that function of an input of the model, `<variable>_noise` or
            `noise`. Whoever runs the model feeds it with what its documentation string says,
            standard normal or uniform numbers; the generators themselves, their inputs, outputs
            and updates, are left out. The model's metadata lists them, as
            `onnx_mapper.noise.<name>`.
        wide: Some functions (gammaln, erfinv, …) are composed in float64 also where their inputs
            are float32, whose digits would not do. With dtype="float32" that is refused, as
            runtimes for browsers and phones may have no float64; "ok" allows it.
        strict: Whether to refuse what would be exported with a warning.
        verify: Whether to run the model in ONNX Runtime and compare it with the function.

    Returns:
        The model, checked by `onnx.checker.check_model(full_check=True)`.

    Raises:
        Refused: When ops, attributes or dtypes of the graph can't be expressed; lists all.
        RowError: When a mapping file is wrong.
        Mismatch: When verification finds other numbers than PyTensor's.
        InvalidRequest: When an argument is impossible, or names clash.

    Warns:
        PrecisionWarning: Where a node computes in fewer digits, for want of a kernel.
        DriftWarning: Where an Op of a newer PyTensor has an attribute that its row doesn't know,
            and the attribute stands at its default.

    Example:
        >>> import pytensor, pytensor.tensor as pt
        >>> x = pt.fvector("x")
        >>> model = export(pytensor.function([x], pt.exp(x).copy(name="y")))
        >>> [output.name for output in model.graph.output]
        ['y']
    """
    target = None if path is None else check_target(path)
    options = Options(opset, dtype, dims or {}, mappings, random, wide, strict)
    captured = capture(fn, input_names, output_names)
    model = build(captured, options)
    if verify:
        _refuse_to_verify_noise(model)
        from onnx_mapper.checking.verify import verify as compare

        compare(model, fn, mappings=mappings, strict=strict)
    if target is not None:
        save(model, target)
    return model


def export_graph(
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    path: str | os.PathLike[str] | None = None,
    *,
    opset: int = DEFAULT_OPSET,
    dtype: DtypePolicy = "keep",
    dims: Dims | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    mappings: Sequence[str | Path] = (),
    random: RandomPolicy = "refuse",
    wide: WidePolicy = "refuse",
    strict: bool = False,
    verify: bool = False,
) -> ModelProto:
    """Turn the graph between symbolic variables into an ONNX model.

    The graph is cloned and given PyTensor's `canonicalize` and `stabilize` rewrites, which fold
    constants and keep numerically stable forms, and nothing that is meant for a backend.

    Args:
        inputs: The variables that become inputs of the model, in order.
        outputs: The variables that become its outputs, in order.
        path: As in `export`, like all that follow.
        opset: The ONNX opset.
        dtype: What becomes of float64.
        dims: Names or sizes for the axes of inputs.
        input_names: Names for the inputs.
        output_names: Names for the outputs.
        mappings: Folders or files of further rows.
        random: What becomes of random draws.
        wide: What becomes of float64 in a float32 model.
        strict: Whether to refuse what would be exported with a warning.
        verify: Whether to compare the model with PyTensor.

    Returns:
        The model, checked.

    Raises:
        Refused: See `export`.
        InvalidRequest: Also when the graph needs a variable that is not among the inputs.

    Example:
        >>> import pytensor.tensor as pt
        >>> x = pt.fmatrix("x")
        >>> export_graph([x], [x.sum(axis=1)], output_names=["sums"]).graph.output[0].name
        'sums'
    """
    target = None if path is None else check_target(path)
    options = Options(opset, dtype, dims or {}, mappings, random, wide, strict)
    captured = capture_variables(inputs, outputs, input_names, output_names)
    model = build(captured, options)
    if verify:
        _refuse_to_verify_noise(model)
        from onnx_mapper.checking.verify import reference_function
        from onnx_mapper.checking.verify import verify as compare

        compare(model, reference_function(inputs, outputs), mappings=mappings, strict=strict)
    if target is not None:
        save(model, target)
    return model


@dataclass(frozen=True)
class Built:
    """A model, and what came to light while it was made.

    Attributes:
        model: The checked model.
        rows_used: How many times each row was applied, by its title.
        narrowed: The nodes that compute in fewer digits than PyTensor.
        swallowed: Constants that became 0 or infinite.
        wide: Where each node comes from that gives float64, though no float64 was to be.
        drifts: What is new in the installed PyTensor and was taken as before.
        tensors: The name that each PyTensor variable has in the model.
        inner_steps: What inner graphs compute, in order, by tensors of the model.
        final_name: Tells the name that a tensor has in the model.
    """

    model: ModelProto
    rows_used: Mapping[str, int]
    narrowed: tuple[Narrowed, ...]
    swallowed: tuple[Swallowed, ...]
    wide: tuple[Source, ...]
    drifts: tuple[str, ...]
    tensors: Mapping[Any, str]
    inner_steps: tuple[InnerStep, ...]
    final_name: Callable[[str], str]


def build(captured: Captured, options: Options) -> ModelProto:
    """Map a captured graph to a checked model; see `export`."""
    built = build_with(load_table(options.mappings), captured, options)
    objections = list(_wide_refusals(built)) if options.wide == "refuse" else []
    if options.strict:
        objections += [
            Refusal(op, row, f"{what} (strict=True)", count)
            for (op, row, what), count in _gathered(built.narrowed).items()
        ]
        objections += [
            Refusal(entry.name, "no row", f"{entry} (strict=True)") for entry in built.swallowed
        ]
    if objections:
        raise Refused(tuple(objections))
    _warn(built)
    return built.model


def _wide_refusals(built: Built) -> Iterator[Refusal]:
    for op, row in dict.fromkeys((source.op, source.row) for source in built.wide):
        yield Refusal(
            op,
            row,
            "it computes in float64 inside, as float32 has too few digits for its formula, and "
            "runtimes for browsers and phones may have no float64: allow it with wide='ok'",
        )


def build_with(table: Table, captured: Captured, options: Options) -> Built:
    """Map a captured graph by the rows of one table; see `export`.

    Where sizes of inputs turn out to be equal, the graph is mapped once more with that
    knowledge: which of several equal sizes PyTensor asks for differs from process to process.
    (Where something may not run at all, what it takes for equal may not be.)
    """
    opset = options.opset
    dtypes = Dtypes("float32" if options.dtype == "float32" else None)
    names = [
        *(input_.name for input_ in captured.inputs),
        *(parameter.name for parameter in captured.parameters),
        *(output.name for output in captured.outputs),
    ]
    equal_sizes = EqualSizes()
    equal: Mapping[AxisOfInput, str] = {}
    while True:
        builder = GraphBuilder(opset, ir_version_of(opset), frozenset(names))
        engine = Engine(table, builder, dtypes, options.random, equal_sizes, options.strict)
        known, ports = _enter(captured, builder, engine, options.dims, equal)
        values = engine.run(captured, known)
        learned = equal_sizes.symbols([(port.name, len(port.dims)) for port in ports])
        if engine.refusals or builder.has_branches or learned == equal:
            break
        equal = learned
    if engine.refusals:
        raise Refused(gather_refusals(engine.refusals))
    outputs = _leave(captured, builder, engine, values)
    metadata = {"pytensor": pytensor.__version__, DTYPE_KEY: options.dtype}
    if builder.narrowed:
        metadata[NARROWED_KEY] = ", ".join(sorted({entry.op_type for entry in builder.narrowed}))
    ports = with_named_sizes(ports)
    for noise in engine.noises:
        dims_of_noise = _sizes_named_by(ports, noise.value)
        port = Port(noise.value.name, noise.value.dtype, dims_of_noise, str(noise))
        ports = with_named_sizes([*ports, port])
        metadata[NOISE_KEY + port.name] = port.doc
    named = with_named_sizes([*ports, *outputs])
    model = finish(builder, named[: len(ports)], named[len(ports) :], captured.name, metadata)
    tensors = {v: builder.final_name(x.name) for v, x in values.items() if isinstance(x, Value)}
    return Built(
        model,
        engine.rows_used,
        tuple(builder.narrowed),
        tuple(engine.swallowed),
        _wide_nodes(model, builder) if dtypes.narrow_to else (),
        tuple(engine.drifts),
        tensors,
        tuple(engine.inner_steps),
        builder.final_name,
    )


def _wide_nodes(model: ModelProto, builder: GraphBuilder) -> tuple[Source, ...]:
    """Return where those nodes of a model come from that give float64."""
    present = {name for node in nodes_of(model.graph) for name in node.output}
    return tuple(
        source for name, source in builder.wide.items() if builder.final_name(name) in present
    )


def trace(captured: Captured, model: ModelProto, mappings: Sequence[str | Path] = ()) -> Built:
    """Export a graph once more as a model says that it was, to learn what each tensor stands for.

    Raises:
        MapperError: When the graph can't be exported with these rows.
    """
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    opset = next((entry.version for entry in model.opset_import if not entry.domain), DEFAULT_OPSET)
    dims: Dims = {
        port.name: [d.dim_value or d.dim_param for d in port.type.tensor_type.shape.dim]
        for port in model.graph.input
        if port.name in {input_.name for input_ in captured.inputs}
    }
    options = Options(
        opset,
        "float32" if metadata.get(DTYPE_KEY) == "float32" else "keep",
        dims,
        mappings,
        "input" if any(key.startswith(NOISE_KEY) for key in metadata) else "refuse",
    )
    return build_with(load_table(mappings), captured, options)


def refusals_of(captured: Captured, options: Options) -> tuple[Refusal, ...]:
    """Return the reasons why a captured graph can't be exported; none when it can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PrecisionWarning)
            warnings.simplefilter("ignore", DriftWarning)
            build(captured, options)
    except Refused as refused:
        return refused.refusals
    return ()


def _enter(
    captured: Captured,
    builder: GraphBuilder,
    engine: Engine,
    dims: Dims,
    equal: Mapping[AxisOfInput, str],
) -> tuple[dict[Any, Any], list[Port]]:
    """Make tensors of inputs and parameters, and declare the inputs."""
    known: dict[Any, Any] = {}
    ports: list[Port] = []
    unknown = sorted(set(dims) - {input_.name for input_ in captured.inputs})
    if unknown:
        listed = ", ".join(input_.name for input_ in captured.inputs)
        raise InvalidRequest(f"dims names {unknown[0]!r}, which is no input; there are: {listed}")
    for input_ in captured.inputs:
        if is_generator(input_.variable) and engine.random == "input":
            known[input_.variable] = Generator()
            continue
        type_ = engine.type_of(input_.variable)
        if type_.dtype not in DTYPES or type_.shape is None:
            engine.refusals.append(_type_refusal("input", input_.name, input_.variable))
            known[input_.variable] = engine.stand_in(type_)
            continue
        declared = _declared_dims(input_.name, type_.shape or (), dims.get(input_.name))
        ports.append(Port(input_.name, type_.dtype, declared))
        symbols = [
            dim if isinstance(dim, int) else equal.get((input_.name, axis), dim)
            for axis, dim in enumerate(declared)
        ]
        known[input_.variable] = builder.input(input_.name, type_.dtype, symbols)
    for parameter in captured.parameters:
        if is_generator(parameter.variable):
            known[parameter.variable] = Generator()
        if parameter.value is None or not is_tensor_type(parameter.variable.type):
            continue
        dtype = engine.dtypes.of(parameter.value.dtype.name)
        array = engine.narrowed(parameter.value, parameter.name)
        known[parameter.variable] = builder.parameter(parameter.name, array, parameter.updated)
        if parameter.updated:
            ports.append(Port(parameter.name, dtype, (None,) * array.ndim))
    return known, ports


def _sizes_named_by(ports: Sequence[Port], value: Value) -> tuple[Dimension, ...]:
    """Return a tensor's sizes, by the names that inputs of the model have for them."""
    dims = {(port.name, axis): dim for port in ports for axis, dim in enumerate(port.dims)}
    return tuple(
        dims.get((open_.tensor.name, open_.axis)) if size is None and open_ else size
        for size, open_ in zip_longest(value.shape or (), value.sizes)
    )


def _refuse_to_verify_noise(model: ModelProto) -> None:
    keys = [e.key for e in model.metadata_props if e.key.startswith(NOISE_KEY)]
    if keys:
        listed = ", ".join(key.removeprefix(NOISE_KEY) for key in keys)
        raise InvalidRequest(
            f"the model takes its random numbers as inputs ({listed}) and the function draws its "
            "own: they can't be compared, export with verify=False"
        )


def _type_refusal(role: str, name: str, variable: Any) -> Refusal:
    return Refusal(
        f"the {role} {name!r}",
        "no row",
        f"it is of type {variable.type}, and a model's {role}s are dense tensors of "
        f"{', '.join(DTYPES)}",
    )


def _declared_dims(
    name: str, shape: Sequence[int | None], asked: Sequence[Any] | None
) -> tuple[Dimension, ...]:
    if asked is None:
        return tuple(shape)
    if isinstance(asked, str) or len(asked) != len(shape):
        raise InvalidRequest(f"dims[{name!r}] must have {len(shape)} entries, one per axis")
    declared: list[Dimension] = []
    for axis, (ours, theirs) in enumerate(zip(shape, asked, strict=True)):
        if isinstance(theirs, np.integer):
            theirs = int(theirs)
        impossible = (
            isinstance(theirs, bool) or theirs == "" or (isinstance(theirs, int) and theirs < 0)
        )
        if impossible or not (theirs is None or isinstance(theirs, int | str)):
            raise InvalidRequest(
                f"dims[{name!r}][{axis}] is a name, a size from 0 on, or None, not {theirs!r}"
            )
        if ours is not None and theirs is not None and ours != theirs:
            raise InvalidRequest(f"dims[{name!r}][{axis}] is {theirs!r}, but the size is {ours}")
        declared.append(theirs if ours is None else ours)
    return tuple(declared)


def _leave(
    captured: Captured, builder: GraphBuilder, engine: Engine, values: Mapping[Any, Any]
) -> list[Port]:
    """Give the outputs their names, and other computed tensors the names of their variables."""
    ports: list[Port] = []
    computed = {node_output for node in builder.nodes for node_output in node.output}
    for output in captured.outputs:
        if is_generator(output.variable) and engine.random == "input":
            continue
        value = engine.read(output.variable, values)
        type_ = engine.type_of(output.variable)
        if not isinstance(value, Value):
            raise Refused((_type_refusal("output", output.name, output.variable),))
        free = value.name in computed and not builder.is_renamed(value)
        builder.as_output(value, output.name, free)
        shape = type_.shape if value.shape is None else value.shape
        ports.append(Port(output.name, value.dtype, tuple(shape or ())))
    for variable, value in values.items():
        named = variable.name and variable.owner is not None
        is_computed = isinstance(value, Value) and value.name in computed
        if named and is_computed and not builder.is_renamed(value):
            builder.rename(value, builder.fresh_name(variable.name))
    return ports


def _gathered(narrowed: Sequence[Narrowed]) -> Counter[tuple[str, str, str]]:
    """Count the nodes that are narrowed alike: by op, row and what becomes of them."""
    return Counter(
        (
            entry.source.op,
            entry.source.row,
            (
                f"{entry.op_type} has no {entry.from_dtype} kernel in ONNX Runtime and computes "
                f"in {entry.to_dtype}"
            ),
        )
        for entry in narrowed
    )


def _warn(built: Built) -> None:
    for drift in built.drifts:
        warnings.warn(drift, DriftWarning, stacklevel=4)
    for swallowed in built.swallowed:
        warnings.warn(f"dtype='float32': {swallowed}", PrecisionWarning, stacklevel=4)
    for (op, row, what), count in _gathered(built.narrowed).items():
        times = f" ({count} nodes)" if count > 1 else ""
        warnings.warn(
            f"{op} ({row}){times}: {what}; about 7 digits are right. "
            "export(..., dtype='float32') makes the whole model float32.",
            PrecisionWarning,
            stacklevel=4,
        )
