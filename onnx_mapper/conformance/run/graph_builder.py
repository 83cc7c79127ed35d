"""The PyTensor graph of an item, and what PyTensor computes with it."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pytensor import function as compiled  # type: ignore[attr-defined]
from pytensor.compile.sharedvalue import SharedVariable, shared
from pytensor.configdefaults import config
from pytensor.graph.basic import Apply
from pytensor.graph.fg import FunctionGraph
from pytensor.graph.traversal import graph_inputs
from pytensor.tensor.basic import constant
from pytensor.tensor.elemwise import Elemwise
from pytensor.tensor.type import tensor

from onnx_mapper.capture.graph import Captured, ordered_applies
from onnx_mapper.capture.raw import raw_mode
from onnx_mapper.capture.reading import capture
from onnx_mapper.conformance.cases.default_cases import is_scalar
from onnx_mapper.conformance.cases.model import STATIC, Case
from onnx_mapper.conformance.graphs.openness import check_constructor
from onnx_mapper.conformance.run.feeds import Feed, shape_of, sizes_in
from onnx_mapper.conformance.run.items import Item, names_of
from onnx_mapper.errors import RowError
from onnx_mapper.language.arrays import Array
from onnx_mapper.language.vocabulary import CONSTANTS
from onnx_mapper.mapping.site import is_tensor_type
from onnx_mapper.rows.fit import installed_class
from onnx_mapper.rows.model import Row

RAW = raw_mode()


@dataclass(frozen=True)
class Graph:
    """A graph as PyTensor builds it.

    Attributes:
        inputs: The variables that get arrays when it runs, in order.
        shared: Shared variables that it reads.
        outputs: Its tensors.
    """

    inputs: tuple[Any, ...]
    shared: tuple[Any, ...]
    outputs: tuple[Any, ...]

    def captured(self) -> Captured:
        """Return it for export, without a rewrite: every op stays as it is."""
        others = [
            leaf
            for leaf in graph_inputs(self.outputs)
            if isinstance(leaf, SharedVariable) and leaf not in self.shared
        ]
        inputs = [*self.inputs, *self.shared, *dict.fromkeys(others)]
        graph = FunctionGraph(inputs, list(self.outputs), clone=False)
        return capture(graph)

    def evaluate(self, feeds: Sequence[Feed]) -> list[list[Array] | Exception]:
        """Return PyTensor's results for each feed, or what it raised.

        Nothing is compiled or rewritten: each Op's own Python computes, also in the functions that
        PyTensor 3.3 makes of inner graphs, which would be linked to C wherever there is a compiler.
        """
        with config.change_flags(mode=RAW, cxx=""), np.errstate(all="ignore"):
            function: Any = self._stepwise
            with contextlib.suppress(NotImplementedError):  # of an output that is overwritten
                function = compiled(
                    list(self.inputs),
                    [getattr(v.tag, "computed_as", v) for v in self.outputs],
                    mode=RAW,
                    on_unused_input="ignore",
                    accept_inplace=True,
                )
            return [self._evaluated(function, feed) for feed in feeds]

    def _stepwise(self, *arrays: Array) -> list[Any]:
        """Compute node by node, without PyTensor's checks of what an in-place op may overwrite."""
        values: dict[Any, Any] = dict(zip(self.inputs, arrays, strict=True))
        values |= {variable: variable.get_value() for variable in self.shared}
        for node in ordered_applies(self.outputs, set()):
            given = [values.get(v, getattr(v, "data", None)) for v in node.inputs]
            storage: list[list[Any]] = [[None] for _ in node.outputs]
            node.op.perform(node, given, storage)
            values.update(zip(node.outputs, (cell[0] for cell in storage), strict=True))
        return [values[variable] for variable in self.outputs]

    def _evaluated(self, function: Any, feed: Feed) -> list[Array] | Exception:
        try:
            results = function(*(feed[variable.name].copy() for variable in self.inputs))
        except Exception as error:
            return error
        return [np.asarray(result) for result in results]


def build_graph(item: Item, feed: Feed) -> Graph:
    """Build an item's graph for arrays of these shapes.

    Args:
        item: The item.
        feed: The arrays; constants and shared variables take their numbers from it.

    Raises:
        RowError: When the case does not say how.
        Exception: What PyTensor raises when it has no such graph.
    """
    case = item.case
    assert case is not None
    ways = dict(item.setting.given)
    free = frozenset(name for name, _ in case.sizes)
    variables: dict[str, Any] = {}
    for spec in case.inputs:
        array = feed[spec.name]
        if ways[spec.name] == "constant":
            variables[spec.name] = constant(array)
        elif ways[spec.name] == "shared":
            variables[spec.name] = shared(array, name=spec.name)
        else:
            shape = shape_of(spec, array, item.setting.shapes == STATIC, free)
            variables[spec.name] = tensor(spec.name, dtype=array.dtype.name, shape=shape)
    results = _results(item, case, variables, sizes_in(case, feed))
    listed = list(results) if isinstance(results, list | tuple) else [results]
    outputs = [v for v in listed if v is not None and is_tensor_type(v.type)]
    if not outputs:
        raise RowError(case.place, "the graph has no output that is a tensor")
    return Graph(
        tuple(v for name, v in variables.items() if ways[name] == "input"),
        tuple(v for name, v in variables.items() if ways[name] == "shared"),
        tuple(outputs),
    )


def bare_graph(row: Row) -> Graph:
    """Build a graph that holds an op of a row's class, of which nothing but the class is real.

    Raises:
        RowError: When the installed PyTensor does not have the class.
    """
    cls = installed_class(row, import_modules=True)
    if cls is None:
        raise RowError(row.place.within("op"), f"{row.ops[0]} is not installed")
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__props__": ()}
    stub: Any = type(cls.__name__, (cls,), {**names, "__str__": lambda self: cls.__name__})
    stub.__abstractmethods__ = frozenset()
    op = object.__new__(stub)
    given = tensor("x", dtype="float32", shape=(3,))
    made = given.type()
    Apply(op, [given], [made])
    return Graph((given,), (), (made,))


def _results(item: Item, case: Case, variables: dict[str, Any], sizes: dict[str, int]) -> Any:
    row = item.row
    cls = installed_class(row, import_modules=True)
    formula = item.refuse.graph if item.refuse and item.refuse.graph else case.graph
    grid = {name: as_argument(value) for name, value in item.setting.grid}
    if formula is not None:
        names = {**CONSTANTS, **names_of(item.setting), **grid, **sizes, **variables}
        return formula.build({**names, "op": cls} if cls else names)
    assert cls is not None
    if is_scalar(row):
        return Elemwise(_scalar_op(cls, row, grid))(*variables.values())
    check_constructor(cls, (), grid, case.place)
    return cls(**grid)(*variables.values())


def _scalar_op(cls: type, row: Row, grid: dict[str, Any]) -> Any:
    """Return PyTensor's own instance of a scalar Op's class, or a new one."""
    if not grid:
        module = inspect.getmodule(cls)
        for found in vars(module).values():
            if type(found) is cls:
                return found
    check_constructor(cls, (), grid, row.locate("cases"))
    return cls(**grid)


def as_argument(value: Any) -> Any:
    """Return a grid value as a constructor takes it: lists become tuples."""
    return tuple(as_argument(item) for item in value) if isinstance(value, list | tuple) else value
