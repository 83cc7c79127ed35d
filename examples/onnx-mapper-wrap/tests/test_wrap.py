"""The Op converts without anybody naming its row."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytensor.tensor as pt
from onnx_mapper_wrap import wrap

from onnx_mapper import export_graph


def test_hours_of_a_clock() -> None:
    """Two hours after 22 and five after 4."""
    hour = pt.lvector("hour")
    model = export_graph([hour], [wrap(hour, np.array([3, 5]))], output_names=["later"])
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert session.run(None, {"hour": np.array([22, 4])})[0].tolist() == [1, 9]
