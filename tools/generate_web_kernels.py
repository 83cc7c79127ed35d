"""Write onnx_mapper/model/runtimes/onnxruntime-web.csv: what ONNX Runtime Web's wasm build computes.

It registers the kernels of the CPU provider, but for some that its build leaves out, and tells of none.
So each entry of the CPU's table is tried: a model of one node for each dtype, which ONNX Runtime loads in
Python, is loaded in Node. What fails there for want of a kernel is taken out of the table::

    npm install onnxruntime-web       # in a folder of its own
    python tools/generate_web_kernels.py FOLDER

What can't be tried by itself (operators with graphs inside, sequences) stays as it is on the CPU. bfloat16
is left out, as JavaScript can neither feed nor read it.
"""

from __future__ import annotations

import base64
import csv
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnxruntime
from generate_kernels import DTYPES, HEADER, TABLE
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.defs import OpSchema

ONNX_NAMES = {numpy_name: onnx_name for onnx_name, numpy_name in DTYPES.items()}
WEB = TABLE.with_name("onnxruntime-web.csv")
OLDEST_OPSET = 18
TEXTS = {"equation": "a->a", "to": 1}


@dataclass
class Line:
    """A line of a table.

    Attributes:
        operator: The operator.
        since_version: Of its schema.
        variable: One of the schema's type variables.
        dtypes: What a kernel takes for it.
        group: The number of the kernel that it belongs to.
    """

    operator: str
    since_version: int
    variable: str
    dtypes: list[str]
    group: int


def read_table() -> list[Line]:
    """Return the CPU's table."""
    lines: list[Line] = []
    seen: set[str] = set()
    group = 0
    with TABLE.open(encoding="utf-8", newline="") as file:
        for operator, since, variable, names in list(csv.reader(file))[1:]:
            key = operator, int(since)
            is_same = bool(lines) and (lines[-1].operator, lines[-1].since_version) == key
            if not is_same or variable in seen:
                seen, group = set(), group + 1
            seen.add(variable)
            dtypes = [name for name in names.split() if name != "bfloat16"]
            lines.append(Line(*key, variable, dtypes, group))
    return lines


def probes(lines: list[Line]) -> Iterator[tuple[int, str, ModelProto]]:
    """Yield a line's number, a dtype, and a model of one node that needs the kernel for it."""
    groups: dict[int, list[int]] = {}
    for number, line in enumerate(lines):
        groups.setdefault(line.group, []).append(number)
    for numbers in groups.values():
        if not all(lines[number].dtypes for number in numbers):
            continue
        for number in numbers:
            others = [n for n in numbers if n != number]
            for dtype in lines[number].dtypes:
                for bound in _choices([lines[n] for n in others]):
                    model = model_of(lines[number], {**bound, lines[number].variable: dtype})
                    if model is not None and loads(model):
                        yield number, dtype, model


def _choices(lines: list[Line]) -> Iterator[dict[str, str]]:
    """Yield dtypes for some variables: the first of each, then one variable's others."""
    first = {line.variable: line.dtypes[0] for line in lines}
    yield first
    for line in lines:
        yield from ({**first, line.variable: dtype} for dtype in line.dtypes[1:])


def model_of(line: Line, bound: dict[str, str]) -> ModelProto | None:
    """Return a model of one node with these dtypes; None where it can't be made by itself."""
    opset = max(line.since_version, OLDEST_OPSET)
    schema = onnx.defs.get_schema(line.operator, opset)
    if schema.since_version != line.since_version:
        return None
    inputs = [_typed(formal, bound) for formal in schema.inputs if _is_needed(formal)]
    outputs = [_typed(formal, bound) for formal in schema.outputs if _is_needed(formal)]
    attributes = [_required(a) for a in schema.attributes.values() if a.required]
    if None in inputs or None in outputs or None in attributes:
        return None
    node = NodeProto(op_type=line.operator, name="probe")
    node.input.extend(f"x{i}" for i in range(len(inputs)))
    node.output.extend(f"y{i}" for i in range(len(outputs)))
    node.attribute.extend(a for a in attributes if a is not None)
    before, after = (
        [
            helper.make_tensor_value_info(f"{letter}{i}", code, None)
            for i, code in enumerate(codes)
            if code is not None
        ]
        for letter, codes in (("x", inputs), ("y", outputs))
    )
    graph = helper.make_graph([node], "probe", before, after)
    ir_version = helper.find_min_ir_version_for([helper.make_opsetid("", opset)])
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version)


def _is_needed(formal: OpSchema.FormalParameter) -> bool:
    return formal.option != OpSchema.FormalParameterOption.Optional


def _typed(formal: OpSchema.FormalParameter, bound: dict[str, str]) -> int | None:
    """Return the code of a formal's dtype; None where it is no tensor."""
    name = bound.get(formal.type_str)
    if name is not None:
        return int(TensorProto.DataType.Value(ONNX_NAMES[name].upper()))
    spelled = formal.type_str.removeprefix("tensor(").removesuffix(")")
    if spelled == formal.type_str:
        return None
    return int(TensorProto.DataType.Value(spelled.upper()))


def _required(attribute: OpSchema.Attribute) -> AttributeProto | None:
    kind = OpSchema.AttrType
    values = {
        kind.INT: TEXTS.get(attribute.name, 1),
        kind.INTS: [1],
        kind.FLOAT: 1.0,
        kind.STRING: TEXTS.get(attribute.name, ""),
        kind.TENSOR: numpy_helper.from_array(onnx.numpy_helper.np.zeros(1, "float32")),
    }
    value = values.get(attribute.type)
    return None if value is None else helper.make_attribute(attribute.name, value)


def loads(model: ModelProto) -> bool:
    """Tell whether ONNX Runtime loads a model in Python."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception:
        return False
    return True


def missing_in(folder: Path, tried: list[tuple[int, str, ModelProto]]) -> set[tuple[int, str]]:
    """Return what Node finds no kernel for; `folder` has the npm package."""
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        models = Path(inside) / "models.jsonl"
        with models.open("w", encoding="utf-8") as file:
            for position, (_, _, model) in enumerate(tried):
                data = base64.b64encode(model.SerializeToString()).decode()
                file.write(json.dumps({"name": position, "model": data}) + "\n")
        script = shutil.copy(Path(__file__).with_name("probe_web.mjs"), inside)
        done = subprocess.run(
            ["node", str(script), str(models)], capture_output=True, text=True, check=True
        )
    failed = {told["name"]: told for told in map(json.loads, done.stdout.splitlines())}
    for told in failed.values():
        if not told["missing"]:
            raise SystemExit(f"a probe fails otherwise than for want of a kernel: {told}")
    runs = {entry[:2] for position, entry in enumerate(tried) if position not in failed}
    return {entry[:2] for entry in tried} - runs


def main(arguments: list[str]) -> int:
    """Write the table; return the exit status."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    lines = read_table()
    tried = list(probes(lines))
    missing = missing_in(Path(arguments[0]).resolve(), tried)
    for number, dtype in missing:
        lines[number].dtypes.remove(dtype)
    emptied = {line.group for line in lines if not line.dtypes}
    keys = {(line.operator, line.since_version) for line in lines if line.group not in emptied}
    with WEB.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for line in lines:
            gone = line.group in emptied
            if gone and (line.operator, line.since_version) in keys:
                continue  # another kernel serves the operator
            names = "" if gone else " ".join(line.dtypes)
            writer.writerow((line.operator, line.since_version, line.variable, names))
    print(f"{len(tried)} probes, {len(missing)} without a kernel in {WEB.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
