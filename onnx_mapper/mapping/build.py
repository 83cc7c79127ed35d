"""From a captured graph and the rows of one table to a checked model: enter, map, leave."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytensor
from onnx import ModelProto

from onnx_mapper.capture.graph import Captured
from onnx_mapper.errors import InvalidRequest, Refused, gather_refusals
from onnx_mapper.language.nodes import Source
from onnx_mapper.language.tensors import Value
from onnx_mapper.mapping.engine import Engine, Mapped
from onnx_mapper.mapping.equal_sizes import AxisOfInput, EqualSizes
from onnx_mapper.mapping.patterns import rewrite
from onnx_mapper.mapping.ports import Entrance, enter, leave, sizes_named_by
from onnx_mapper.mapping.site import Dtypes, InnerStep, Swallowed
from onnx_mapper.model.builder import CARRIERS, GraphBuilder
from onnx_mapper.model.finish import Port, finish, with_named_sizes
from onnx_mapper.model.half_floats import DTYPES as HALVES
from onnx_mapper.model.half_floats import WHOLE, Half
from onnx_mapper.model.kernels import KernelTable, kernel_table
from onnx_mapper.model.metadata import DEVIATES_KEY, NARROWED_KEY, NOISE_KEY
from onnx_mapper.model.node_list import Narrowed
from onnx_mapper.model.operators import all_operators
from onnx_mapper.model.prune import nodes_of
from onnx_mapper.model.weights import Weights
from onnx_mapper.opsets import ir_version_of
from onnx_mapper.options import Options
from onnx_mapper.rows.table import Table


@dataclass(frozen=True)
class Built:
    """A model, and what came to light while it was made.

    Attributes:
        model: The checked model.
        weights: Those that are to be written to a file beside it.
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
    weights: Weights
    rows_used: Mapping[str, int]
    narrowed: tuple[Narrowed, ...]
    swallowed: tuple[Swallowed, ...]
    wide: tuple[Source, ...]
    drifts: tuple[str, ...]
    tensors: Mapping[Any, str]
    inner_steps: tuple[InnerStep, ...]
    final_name: Callable[[str], str]


def build(
    table: Table, captured: Captured, options: Options, patterns_may_fail: bool = True
) -> Built:
    """Map a captured graph by the rows of one table.

    Where sizes of inputs turn out to be equal, the graph is mapped once more with that
    knowledge: which of several equal sizes PyTensor asks for differs from process to process.
    (Where something may not run at all, what it takes for equal may not be.)

    Args:
        table: The rows.
        captured: The graph.
        options: What the user asks for.
        patterns_may_fail: Whether a pattern of the package that fails is left out; tests want to know.

    Raises:
        Refused: When ops, attributes or dtypes of the graph can't be expressed; lists all.
        InvalidRequest: When an option does not fit the graph.
    """
    kernels = _kernels(options)
    dtypes = Dtypes(None if options.dtype == "keep" else WHOLE)
    equal_sizes = EqualSizes()
    equal: Mapping[AxisOfInput, str] = {}
    while True:
        builder = GraphBuilder(
            options.opset,
            ir_version_of(options.opset),
            _names(captured),
            kernels,
        )
        used: Counter[str] = Counter()
        if options.optimize:
            builder.rewrite_body = partial(
                _rewritten, builder, table, options, patterns_may_fail, used
            )
        engine = Engine(table, builder, dtypes, options.random, equal_sizes, options.strict)
        entrance = enter(captured, builder, dtypes, options, equal)
        mapped = engine.run(captured, entrance.known)
        learned = equal_sizes.symbols([(port.name, len(port.dims)) for port in entrance.ports])
        refusals = (*entrance.refusals, *mapped.refusals)
        if refusals or builder.has_branches or learned == equal:
            break
        equal = learned
    if refusals:
        raise Refused(gather_refusals(refusals), mapped.refused)
    if builder.rewrite_body is not None:
        now = builder.rewrite_body([x for x in mapped.results if isinstance(x, Value)])
        mapped = replace(
            mapped,
            values={v: now(x) if isinstance(x, Value) else x for v, x in mapped.values.items()},
            results=tuple(now(x) if isinstance(x, Value) else x for x in mapped.results),
            rows_used={**mapped.rows_used, **used},
        )
    outputs = leave(captured, builder, mapped.values, mapped.results, options)
    compromises = builder.compromises
    metadata = {"pytensor": pytensor.__version__, **options.metadata()}
    if compromises.narrowed:
        operators = sorted({entry.op_type for entry in compromises.narrowed})
        metadata[NARROWED_KEY] = ", ".join(operators)
    deviating = {r.pattern for r in table.patterns if r.deviations and r.title in mapped.rows_used}
    if deviating:
        metadata[DEVIATES_KEY] = ", ".join(sorted(deviating))
    inputs = _with_noises(entrance, mapped, metadata)
    named = with_named_sizes([*inputs, *outputs])
    model, weights = finish(
        builder,
        named[: len(inputs)],
        named[len(inputs) :],
        captured.name,
        metadata,
        options.external_data,
        _half(captured, mapped, options),
    )
    tensors = {
        v: builder.names.final(x.name) for v, x in mapped.values.items() if isinstance(x, Value)
    }
    return Built(
        model=model,
        weights=weights,
        rows_used=mapped.rows_used,
        narrowed=compromises.narrowed,
        swallowed=(*entrance.swallowed, *mapped.swallowed),
        wide=_wide_nodes(model, compromises.wide) if dtypes.narrow_to else (),
        drifts=mapped.drifts,
        tensors=tensors,
        inner_steps=mapped.inner_steps,
        final_name=builder.names.final,
    )


def _rewritten(
    builder: GraphBuilder,
    table: Table,
    options: Options,
    may_fail: bool,
    used: Counter[str],
    results: Sequence[Value],
) -> Callable[[Value], Value]:
    """Let patterns go through the nodes that results need; return what tells what tensors became."""
    found = rewrite(builder, table, results, options.strict, may_fail)
    used.update(found.used)
    return found.replay.now


def _kernels(options: Options) -> KernelTable:
    """Return what nodes may be chosen from.

    Raises:
        InvalidRequest: When the model is to be without what is no operator, or can't be left out.
    """
    known = all_operators()
    for name in options.without:
        if name not in known or name in CARRIERS:
            near = difflib.get_close_matches(name, known, 1) if name not in known else ()
            why = "which every model may need" if name in CARRIERS else "which is no ONNX operator"
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise InvalidRequest(f"without names {name!r}, {why}{meant}")
    table = kernel_table(f"onnxruntime-{options.runtime}")
    return replace(table, excluded=frozenset(options.without))


def _half(captured: Captured, mapped: Mapped, options: Options) -> Half | None:
    """Return what becomes of float32; states and random numbers keep their digits."""
    if options.dtype not in HALVES:
        return None
    states = [parameter.name for parameter in captured.parameters if parameter.updated]
    next_states = [output.name for output in captured.outputs if output.updates]
    noises = [noise.value.name for noise in mapped.noises]
    return Half(options.dtype, frozenset([*states, *next_states, *noises]))


def _names(captured: Captured) -> frozenset[str]:
    return frozenset(
        [
            *(input_.name for input_ in captured.inputs),
            *(parameter.name for parameter in captured.parameters),
            *(output.name for output in captured.outputs),
        ]
    )


def _with_noises(entrance: Entrance, mapped: Mapped, metadata: dict[str, str]) -> Sequence[Port]:
    """Return the inputs of a model with those for random numbers, and list these in its metadata."""
    ports = with_named_sizes(entrance.ports)
    for noise in mapped.noises:
        dims = sizes_named_by(ports, noise.value)
        port = Port(noise.value.name, noise.value.dtype, dims, str(noise))
        ports = with_named_sizes([*ports, port])
        metadata[NOISE_KEY + port.name] = port.doc
    return ports


def _wide_nodes(model: ModelProto, wide: Mapping[str, Source]) -> tuple[Source, ...]:
    """Return where those nodes of a model come from that give float64."""
    present = {name for node in nodes_of(model.graph) for name in node.output}
    return tuple(source for name, source in wide.items() if name in present)
