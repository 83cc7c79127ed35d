"""What a user may ask of an export, beside what is exported and where it goes."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar, get_args, get_type_hints

from onnx_mapper.errors import InvalidRequest
from onnx_mapper.opsets import (
    DEFAULT_OPSET,
    NEWEST_DRAWING_OPSET,
    NEWEST_OPSET,
    NEWEST_WEB_OPSET,
    OLDEST_OPSET,
)

Dimension = int | str | None
Dims = Mapping[str, Sequence[Dimension]]
DtypePolicy = Literal["keep", "float32", "float16", "bfloat16"]
RandomPolicy = Literal["refuse", "input", "node"]
WidePolicy = Literal["refuse", "ok"]
StatePolicy = Literal["default", "input"]
Runtime = Literal["cpu", "web"]
ExternalPolicy = Literal["auto", "always", "never"]

KEY = "onnx_mapper."
"""What the metadata of a model begins with that this package writes."""

_PLACEHOLDER = "**options: See `Options`."

_Function = TypeVar("_Function", bound=Callable[..., Any])


class OptionArguments(TypedDict, total=False):
    """The fields of `Options`, as arguments."""

    opset: int
    dtype: DtypePolicy
    dims: Dims | None
    mappings: Sequence[str | Path]
    random: RandomPolicy
    wide: WidePolicy
    state: StatePolicy
    runtime: Runtime
    without: Sequence[str]
    strict: bool
    optimize: bool
    external_data: ExternalPolicy | bool


@dataclass(frozen=True)
class Options:
    """The options of an export, of `check` and of the command line.

    Attributes:
        opset: The ONNX opset, 18 to 28.
        dtype: "keep" for PyTensor's dtypes, "float32" for a model in which every float64,
            inputs and shared variables included, is float32. "float16" for half the size: weights, inputs
            and outputs are float16, and nodes that move them where the runtime has kernels; what computes does
            so in float32, so that nothing else is rounded. States and random numbers stay float32, and so do
            weights that float16 can't hold. The model's metadata lists what stayed wider, as
            `onnx_mapper.wider`. "bfloat16" the same for weights alone, as NumPy doesn't have it.
        dims: Names or sizes for the axes of inputs, by the input's name:
            `{"x": ("batch", 3, None, None)}`. Unknown sizes are named `x_0`, `x_1` … otherwise.
        mappings: Folders or files of further rows; they go before the package's.
        random: "refuse" for an error where the function draws random numbers: no ONNX model can
            repeat NumPy's. With "input" each draw becomes the quantile function of its
            distribution, of an input of the model, `<variable>_noise` or `noise`; some are made
            of several inputs, and in a loop each step has its own, along the first axis. Whoever
            runs the model feeds them with what their documentation strings say, standard normal
            or uniform numbers; the generators themselves, their inputs, outputs and updates, are
            left out. The model's metadata lists them, as `onnx_mapper.noise.<name>`. With "node" the
            model draws these numbers itself, by nodes such as RandomNormal, anew in each run: nothing
            is to be fed, and no run can be repeated. How good they are is the runtime's affair. ONNX
            Runtime has no such nodes after opset 21.
        wide: What becomes of functions (gammaln, erfinv, …) that are composed in float64 also where
            their inputs are float32, whose digits would not do: with dtype="float32" or less they are
            refused, as runtimes for browsers and phones may have no float64; "ok" allows them.
        state: How the model gets the values of shared variables that the function updates, whose next values
            are its outputs `<variable>_next`: "default" for inputs that have the present values where they
            are left out, "input" for inputs that every run must give.
        runtime: Whose kernels nodes are chosen for: "cpu" for ONNX Runtime's, "web" for those of ONNX Runtime
            Web, built for WebAssembly. Where one lacks, the node is computed in a wider dtype, composed, or
            refused.
        without: Operators that the model may not have, such as `["Loop"]`, for runtimes that lack them:
            another way is taken where a row knows one, and else the op is refused.
        strict: Whether to refuse what would be exported with a warning, and to leave out patterns that
            follow PyTensor for all but infinities and NaN.
        optimize: Whether to compute at export what follows from constants and weights alone, and to
            say in one node what several together are, by the patterns of docs/ops/patterns.md.
        external_data: Where the weights go: "auto" for a file beside the model where they pass the
            2 GB that one file holds, "always" (or True), or "never" (or False), with which they
            are refused then. The two files belong together: `model.onnx` names the other one.

    Raises:
        InvalidRequest: When one of them is impossible.
    """

    opset: int = DEFAULT_OPSET
    dtype: DtypePolicy = "keep"
    dims: Dims | None = field(default=None, metadata={"written": False})
    mappings: Sequence[str | Path] = field(default=(), metadata={"written": False})
    random: RandomPolicy = "refuse"
    wide: WidePolicy = "refuse"
    state: StatePolicy = "default"
    runtime: Runtime = "cpu"
    without: Sequence[str] = ()
    strict: bool = False
    optimize: bool = True
    external_data: ExternalPolicy = field(default="auto", metadata={"written": False})

    def __post_init__(self) -> None:
        """Check each option."""
        if isinstance(self.opset, bool) or not isinstance(self.opset, int):
            raise InvalidRequest(f"opset is {self.opset!r}; it must be a whole number")
        if not OLDEST_OPSET <= self.opset <= NEWEST_OPSET:
            raise InvalidRequest(
                f"opset is {self.opset!r}; it must be {OLDEST_OPSET} to {NEWEST_OPSET}"
            )
        if self.runtime == "web" and self.opset > NEWEST_WEB_OPSET:
            raise InvalidRequest(
                f"opset is {self.opset}; ONNX Runtime Web loads {OLDEST_OPSET} to {NEWEST_WEB_OPSET}"
            )
        if self.random == "node" and self.opset > NEWEST_DRAWING_OPSET:
            raise InvalidRequest(
                f"opset is {self.opset}; with random='node' it goes up to {NEWEST_DRAWING_OPSET}, as ONNX "
                "Runtime has no kernels for the nodes of later ones that draw"
            )
        if isinstance(self.without, str):
            raise InvalidRequest(f"without is {self.without!r}; write a list, ['{self.without}']")
        is_list = isinstance(self.without, Sequence)
        if not is_list or not all(isinstance(name, str) for name in self.without):
            raise InvalidRequest(
                f"without is {self.without!r}; it must be a list of operators' names, such as ['Loop']"
            )
        for name, values in choices().items():
            value = getattr(self, name)
            if value not in values:
                listed = " or ".join(map(repr, values))
                raise InvalidRequest(f"{name} is {value!r}; it must be {listed}")

    def metadata(self) -> dict[str, str]:
        """Return what a model tells of the options that it was made with.

        The dtype always; others where they are not as by default. The opset and the names of sizes
        stand in the model itself, and where further rows lie is the user's own affair.
        """
        told = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.metadata.get("written", True) and f.name != "opset"
        }
        return {
            f"{KEY}{name}": _as_text(value)
            for name, value in told.items()
            if name == "dtype" or _as_text(value) != _as_text(getattr(Options, name))
        }

    @staticmethod
    def of_metadata(
        metadata: Mapping[str, str], opset: int, dims: Dims, mappings: Sequence[str | Path]
    ) -> Options:
        """Return the options that a model was made with.

        Args:
            metadata: The model's.
            opset: The model's.
            dims: The sizes of its inputs.
            mappings: The folders of further rows, which a model doesn't tell.
        """
        told: dict[str, Any] = {
            f.name: metadata[KEY + f.name] for f in fields(Options) if KEY + f.name in metadata
        }
        for name, values in choices().items():
            if told.get(name) not in values:
                told.pop(name, None)  # of a package that knows more
        for name in told:
            if isinstance(getattr(Options, name), bool):
                told[name] = told[name] == "True"
            elif isinstance(getattr(Options, name), tuple):
                told[name] = tuple(told[name].split(", "))
        return Options(opset=opset, dims=dims, mappings=mappings, **told)


def _as_text(value: object) -> str:
    """Return an option as a model tells it."""
    return ", ".join(value) if isinstance(value, list | tuple) else str(value)


@cache
def choices() -> Mapping[str, tuple[str, ...]]:
    """Return the options that take one of a few texts, with those texts."""
    hints = get_type_hints(Options)
    return {f.name: values for f in fields(Options) if (values := get_args(hints[f.name])) and
            all(isinstance(value, str) for value in values)}  # fmt: skip


def told_of_options() -> dict[str, str]:
    """Return what the docstring of `Options` says of each, as lines."""
    text = inspect.cleandoc(Options.__doc__ or "").partition("Attributes:\n")[2]
    text = text.partition("\n\n")[0]
    entries = re.split(r"^    (\w+): ", text, flags=re.MULTILINE)[1:]
    return dict(zip(entries[::2], (entry.rstrip() for entry in entries[1::2]), strict=True))


def options_of(given: Mapping[str, Any]) -> Options:
    """Return the options that a call was given by name.

    Raises:
        TypeError: When there is no option of such a name.
        InvalidRequest: When one of them is impossible.
    """
    names = [f.name for f in fields(Options)]
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            meant = f"; did you mean {near[0]!r}?" if near else "."
            raise TypeError(f"there is no option {name!r}{meant} There are: {', '.join(names)}")
    asked = dict(given)
    if isinstance(asked.get("external_data"), bool):
        asked["external_data"] = "always" if asked["external_data"] else "never"
    return Options(**asked)


def takes_options(function: _Function) -> _Function:
    """Show the options in a function's signature and docstring, one by one.

    The function takes `**options: Unpack[OptionArguments]`, and its docstring says
    "**options: See `Options`." where they belong.
    """
    signature = inspect.signature(function)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    shown = [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=f.type)
        for f in fields(Options)
    ]  # fmt: skip
    # Python 3.13 takes away the indentation that all lines of a docstring share.
    margin = re.search(rf"^( *){re.escape(_PLACEHOLDER)}", function.__doc__ or "", re.MULTILINE)
    indent = "\n" + (margin[1] if margin else "")
    described = indent.join(
        f"{name}: {text}".replace("\n    ", indent) for name, text in told_of_options().items()
    )
    function.__signature__ = signature.replace(parameters=[*own, *shown])  # type: ignore[attr-defined]
    function.__doc__ = (function.__doc__ or "").replace(_PLACEHOLDER, described)
    return function
