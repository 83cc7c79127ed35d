"""`export_model`: a model of PyMC's in, an ONNX model out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal, Unpack, get_args

from onnx import ModelProto

from onnx_mapper.capture.raw import raw_function
from onnx_mapper.delivery import build_variables, deliver
from onnx_mapper.errors import InvalidRequest
from onnx_mapper.model.file import check_target
from onnx_mapper.options import OptionArguments, options_of, takes_options
from onnx_mapper.pymc.formulas import pymc_model_of
from onnx_mapper.pymc.predictive import predictions
from onnx_mapper.pymc.quantities import QUANTITIES
from onnx_mapper.pymc.told import metadata_of

What = Literal[
    "logp", "dlogp", "deterministics", "transform", "inverse", "log_likelihood", "predict"
]


@takes_options
def export_model(
    model: Any,
    path: str | os.PathLike[str] | None = None,
    what: What = "logp",
    *,
    trace: Any = None,
    thin: int = 1,
    var_names: Sequence[str] | None = None,
    summary: Sequence[str | float] = (),
    data_inputs: Sequence[str] | None = None,
    from_trace: Sequence[str] = (),
    verify: bool = False,
    **options: Unpack[OptionArguments],
) -> ModelProto:
    """Turn a model of PyMC's into an ONNX model.

    Inputs and outputs have the names of the model's variables, and open sizes those of its dims. Values
    are unconstrained, as samplers have them, under PyMC's names (`spread_log__`), in the order of
    `model.value_vars`. Dims, coordinates and versions are in the model's metadata, as `pymc.…`.

    Args:
        model: A `pymc.Model`, or a model of bambi's, for whose traces the predictors may not be centred.
        path: Where to write the model as well.
        what: What the model computes:
            "logp": the log-density of unconstrained values, `logp`, with its Jacobian terms.
            "dlogp": `logp` and its gradient `dlogp`, one vector with the values behind each other.
            "deterministics": all deterministic quantities, of unconstrained values.
            "transform": unconstrained values of constrained ones. Variables without a transformation
            are the same in both, and no outputs.
            "inverse": the other way around.
            "log_likelihood": the log-density of each observation, an output for each observed variable.
            "predict": predictive draws given a trace, an output for each observed variable, with the
            draws along its first axis.
        trace: For "predict", the draws: what `pm.sample` returned, a dataset of draws, or a dictionary of
            arrays whose first axis are draws. They become weights. What the trace lacks is drawn anew.
        thin: For "predict", keeps each `thin`-th draw of the trace.
        var_names: The variables that are to be computed; by default all deterministic ones, or all
            observed ones. For "predict" they may be either, or variables that the trace lacks.
        summary: For "predict", what is told of the draws instead: "mean", and numbers between 0 and 1
            for quantiles. The outputs are then `y_mean` and `y_q0.05`.
        data_inputs: The `pm.Data` that are inputs; by default, for "predict", all that the outputs
            need. Others are weights. Sizes that draws of the trace have stay fixed, others are open.
        from_trace: For "predict", deterministic variables that are as the trace has them, where it lacks
            what they are computed from: bambi's traces have `1|group` and not `1|group_offset`.
        verify: Whether to compare the model with PyTensor; "predict" draws and can't be compared.
        **options: See `Options`.

    Returns:
        The model, checked. A predictive model has the random numbers of its draws as inputs, as
        `random="input"` says, which is the default here; with `random="node"` it draws them itself.

    Raises:
        Refused: When ops, attributes or dtypes of the graph can't be expressed; lists all.
        InvalidRequest: When an argument is impossible.

    Example:
        >>> import pymc as pm
        >>> with pm.Model() as model:
        ...     rate = pm.HalfNormal("rate")
        ...     counts = pm.Poisson("counts", rate, observed=[1, 0, 2])
        >>> [port.name for port in export_model(model, what="dlogp").graph.output]
        ['logp', 'dlogp']
    """
    if what not in get_args(What):
        raise InvalidRequest(f"what is {what!r}; it must be {', '.join(map(repr, get_args(What)))}")
    _check_arguments(what, trace, thin, summary)
    model = pymc_model_of(model, trace)
    target = None if path is None else check_target(path)
    if what == "predict":
        found = predictions(model, trace, thin, var_names, summary, data_inputs, from_trace)
        options.setdefault("random", "input")
    else:
        found = QUANTITIES[what](model, var_names).with_data(model, data_inputs or ())
    options["dims"] = {**found.dims, **(options.get("dims") or {})}
    asked = options_of(options)
    built = build_variables(
        found.inputs, found.outputs, found.input_names, found.output_names, asked
    )
    for key, text in metadata_of(model, what, found).items():
        entry = built.model.metadata_props.add()
        entry.key, entry.value = key, text
    function = raw_function(found.inputs, found.outputs) if verify else None
    return deliver(built, target, asked, function, found.example)


def _check_arguments(what: What, trace: Any, thin: int, summary: Sequence[str | float]) -> None:
    if (trace is None) is (what == "predict"):
        needs = "needs a trace" if what == "predict" else "takes no trace"
        raise InvalidRequest(f'what="{what}" {needs}: only "predict" is about draws')
    if not isinstance(thin, int) or thin < 1:
        raise InvalidRequest(f"thin is {thin!r}; it must be a whole number from 1 on")
    if summary and what != "predict":
        raise InvalidRequest(f'summary is for what="predict", not for "{what}"')
    for entry in summary:
        is_quantile = isinstance(entry, float | int) and 0 <= entry <= 1
        if isinstance(summary, str) or not (entry == "mean" or is_quantile):
            raise InvalidRequest(
                f'summary is {summary!r}; it is a list of "mean" and of numbers between 0 and 1'
            )
