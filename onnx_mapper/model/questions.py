"""What formulas ask of the model under construction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from onnx_mapper.language.tensors import StaticShape, TensorType, Value
from onnx_mapper.language.values import DTYPES, StaticError, Vector, describe
from onnx_mapper.model.kernels import KernelTable
from onnx_mapper.model.operators import formal, given_attributes, opsets_of, schema_of
from onnx_mapper.model.signs import Makers, has_no_sign


class Model(Protocol):
    """The model, as the answers need it."""

    opset: int
    kernels: KernelTable

    @property
    def makers(self) -> Makers:
        """The node that made each tensor, and its inputs."""

    def literal(self, number: Any, dtype: str) -> Value:
        """Return a constant of a dtype from a static number or vector."""

    def node(
        self, op_type: str, inputs: Sequence[Any], attributes: Mapping[str, Any], outputs: int
    ) -> tuple[Value, ...]:
        """Add a node and return its outputs."""

    def with_shape(self, value: Value, shape: StaticShape | None) -> Value:
        """Return the tensor with what PyTensor knows of its shape."""


class Questions:
    """Answers the questions about one model; `language.vocabulary` lists them."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def ask(self, name: str, arguments: Sequence[Any]) -> Any:
        """Answer a question of the vocabulary that is about the model."""
        return getattr(self, name)(*arguments)

    def runs(self, operator: str, *xs: Any) -> bool:
        """Tell whether the runtime has a kernel for these tensors or dtypes."""
        if self._model.opset not in opsets_of(operator):
            return False
        schema = schema_of(operator, self._model.opset)
        bindings = {}
        for position, tensor in enumerate(xs):
            if not isinstance(tensor, Value | TensorType) and tensor not in DTYPES:
                raise StaticError(f"runs takes tensors and dtypes, not {describe(tensor)}")
            variable = formal(schema, position)[0]
            bindings[variable] = tensor if isinstance(tensor, str) else tensor.dtype
        return self._model.kernels.runs(operator, schema.since_version, bindings)

    def constant(self, numbers: Any, dtype: str) -> Value:
        """Return a tensor with these numbers."""
        return self._model.literal(numbers, dtype)

    def like(self, x: Value, y: Value) -> Value:
        """Return the tensor, known to have the shape of another one."""
        ours, theirs = x.shape, y.shape
        if ours is not None and theirs is not None:
            pairs = list(zip(ours, theirs, strict=False))
            if len(ours) != len(theirs) or any(a != b for a, b in pairs if None not in (a, b)):
                raise StaticError(f"a tensor of shape {ours} is not like one of shape {theirs}")
        shaped = self._model.with_shape(x, theirs)
        return replace(shaped, sizes=y.sizes) if shaped.shape == theirs else shaped

    def made_by(self, x: Any, operator: str, *attributes: str) -> Vector | None:
        """Return the inputs of the node that made a tensor, and some of its attributes.

        None where the tensor was made by another operator, or by none.
        """
        node, inputs = self._model.makers.get(getattr(x, "name", ""), (None, ()))
        if node is None or node.op_type != operator:
            return None
        given = given_attributes(node)
        return Vector([*inputs, *(given.get(name) for name in attributes)])

    def never_negative(self, x: Value) -> bool:
        """Tell whether all of a tensor's numbers are surely without a sign, or NaN."""
        return has_no_sign(x, self._model.makers)

    def frozen(self, x: Value) -> Value:
        """Return the tensor, as one that is no parameter."""
        return replace(x, parameter=False)

    def remade(self, x: Value, *inputs: Any) -> Value:
        """Return what the node that made a tensor gives for other inputs.

        Raises:
            StaticError: When no node made it, or one with several outputs did.
        """
        node, _ = self._model.makers.get(x.name, (None, ()))
        if node is None or len(node.output) != 1:
            raise StaticError(f"{describe(x)} was not made by a node with one output")
        return self._model.node(node.op_type, list(inputs), given_attributes(node), 1)[0]
