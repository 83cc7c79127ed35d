"""Models that bambi made of a formula, and their traces."""

from __future__ import annotations

from typing import Any

from onnx_mapper.errors import InvalidRequest

INTERFACE = "modeling_interface"
"""The attribute of a trace that names the package which made its model."""

NAME = "bambi"


def pymc_model_of(model: Any, trace: Any) -> Any:
    """Return the PyMC model of a model, which may be one of bambi's.

    bambi subtracts the predictors' means before it samples, and takes the effect of that out of the
    intercept in the trace: with its PyMC model such a trace predicts something else.

    Raises:
        InvalidRequest: When the model is not built, or the trace doesn't fit it.
    """
    is_formula = hasattr(model, "formula") and hasattr(model, "backend")
    if is_formula and getattr(model.backend, "model", None) is None:
        raise InvalidRequest(f"this model of {NAME}'s is not built yet: call its build() or fit()")
    if trace is not None and _interface_of(trace) == NAME:
        if not is_formula:
            raise InvalidRequest(
                f"the trace is of a model of {NAME}'s, whose intercept may differ from that of its PyMC "
                f"model: give the model of {NAME}'s itself"
            )
        if model.center_predictors:
            raise InvalidRequest(
                f"{NAME} has centred the predictors, and the intercept in the trace is that of predictors "
                "which are not: build and fit the model with center_predictors=False"
            )
    return model.backend.model if is_formula else model


def _interface_of(trace: Any) -> str:
    """Return the name of the package that made a trace's model, where it tells."""
    group = getattr(trace, "posterior", trace)
    told = {**getattr(trace, "attrs", {}), **getattr(group, "attrs", {})}
    return str(told.get(INTERFACE, ""))
