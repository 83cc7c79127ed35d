"""Write onnx_mapper/model/runtimes/onnxruntime-cpu.csv: the dtypes that ONNX Runtime's CPU kernels run.

The table comes from the kernel registry of the installed onnxruntime and from the operator schemas
of the installed onnx::

    python tools/generate_kernels.py            # writes the table
    python tools/generate_kernels.py --check    # exits 1 when the committed table is stale

Each line holds an operator, the ``since_version`` of its schema, one of the schema's type variables
and the dtypes, by numpy name, that a kernel takes for it::

    Conv,11,T,float32

- The dtypes that PyTensor has are listed, and bfloat16, which weights may be kept in. A variable that
  the kernel leaves open lists all of those that the schema allows. Of a variable that holds sequences
  or optionals, the dtypes of the elements count.
- No dtypes means that there is no kernel. ONNX Runtime may still load such a node by expanding the
  operator's function body, but an expanded body can be far less accurate than a kernel: that of
  ReduceLogSumExp overflows. So the table says no.
- A variable that comes again within an operator starts the next alternative, as in::

      GridSample,20,T1,float32
      GridSample,20,T2,float32
      GridSample,20,T1,float64
      GridSample,20,T2,float64

  One alternative must take all the variables of a node: float32 with float64 does not run here.
- An operator without type variables has one line with an empty variable and the dtypes that its
  schema spells out.

The float16 kernels that ONNX Runtime registers depend on the processor: the table describes x86-64.
"""

from __future__ import annotations

import argparse
import csv
import difflib
import io
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.defs import OpSchema
from onnxruntime.capi import onnxruntime_pybind11_state as registry

TABLE = (
    Path(__file__).resolve().parents[1]
    / "onnx_mapper"
    / "model"
    / "runtimes"
    / "onnxruntime-cpu.csv"
)
HEADER = ("operator", "since_version", "type_variable", "dtypes")
OLDEST_OPSET = 18
# The version range of a kernel that has no successor ends here.
OPEN_ENDED = 2**31 - 1
# ONNX's name -> numpy's, in the order of the table.
DTYPES = {
    "bool": "bool",
    "int8": "int8",
    "int16": "int16",
    "int32": "int32",
    "int64": "int64",
    "uint8": "uint8",
    "uint16": "uint16",
    "uint32": "uint32",
    "uint64": "uint64",
    "float16": "float16",
    "float": "float32",
    "double": "float64",
    "bfloat16": "bfloat16",
}
BFLOAT16 = "bfloat16"
ORDER = {name: position for position, name in enumerate(DTYPES.values())}
# Loading a model turns these nodes into initializers, whatever their dtype; no kernel is involved.
LOADED_AS_INITIALIZER = frozenset({"Constant"})

# One way to run an operator: type variable -> dtypes.
Alternative = dict[str, frozenset[str]]


def main(arguments: list[str] | None = None) -> int:
    """Write the table or check it; the exit status."""
    parser = argparse.ArgumentParser(
        description="Generate the table of ONNX Runtime's CPU kernels."
    )
    parser.add_argument("--check", action="store_true", help="only say whether the file is fresh")
    parser.add_argument("file", nargs="?", type=Path, default=TABLE, help="the table (%(default)s)")
    options = parser.parse_args(arguments)
    fresh = table_text()
    if not options.check:
        options.file.write_text(fresh, encoding="utf-8", newline="\n")
        print(f"wrote {options.file}: {fresh.count(chr(10)) - 1} lines")
        return 0
    committed = options.file.read_text(encoding="utf-8") if options.file.exists() else ""
    if committed == fresh:
        return 0
    difference = list(
        difflib.unified_diff(
            committed.splitlines(), fresh.splitlines(), "committed", "generated", n=0, lineterm=""
        )
    )
    print(
        f"{options.file} is stale: onnxruntime {onnxruntime.__version__} with onnx "
        f"{onnx.__version__} gives another table. Run: python tools/generate_kernels.py",
        file=sys.stderr,
    )
    print("\n".join(difference[:20]), file=sys.stderr)
    if len(difference) > 20:
        print(f"... and {len(difference) - 20} more lines of diff", file=sys.stderr)
    return 1


def table_text() -> str:
    """The whole table as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    kernels = cpu_kernels()
    for schema in schemas(OLDEST_OPSET, newest_opset()):
        for alternative in alternatives(schema, kernels[schema.name]):
            for variable, dtypes in alternative.items():
                names = " ".join(sorted(dtypes, key=ORDER.__getitem__))
                writer.writerow((schema.name, schema.since_version, variable, names))
    return text.getvalue()


def cpu_kernels() -> defaultdict[str, list[registry.KernelDef]]:
    """The kernels of the CPU provider for the operators of ONNX itself, by operator."""
    kernels = defaultdict(list)
    for kernel in registry.get_all_opkernel_def():
        if kernel.domain == "" and kernel.provider == "CPUExecutionProvider":
            kernels[kernel.op_name].append(kernel)
    return kernels


def newest_opset() -> int:
    """The newest opset that the installed onnx knows and the installed onnxruntime loads."""
    opset = onnx.defs.onnx_opset_version()
    while not loads(opset):
        opset -= 1
    return opset


def loads(opset: int) -> bool:
    """Whether ONNX Runtime loads a model of this opset."""
    before, after = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name in ("x", "y")
    )
    node = helper.make_node("Identity", ["x"], ["y"])
    model = helper.make_model(
        helper.make_graph([node], "probe", [before], [after]),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except registry.Fail as refusal:
        if "opset" not in str(refusal):
            raise
        return False
    return True


def schemas(oldest: int, newest: int) -> Iterator[OpSchema]:
    """Every schema that is in force at one of the opsets, by operator and version."""
    names = {
        schema.name for schema in onnx.defs.get_all_schemas_with_history() if not schema.domain
    }
    for name in sorted(names):
        versions: dict[int, OpSchema] = {}
        for opset in range(oldest, newest + 1):
            try:
                schema = onnx.defs.get_schema(name, opset)
            except onnx.defs.SchemaError:  # not invented yet
                continue
            versions[schema.since_version] = schema
        yield from (versions[since] for since in sorted(versions))


def alternatives(schema: OpSchema, kernels: Iterable[registry.KernelDef]) -> list[Alternative]:
    """What the kernels take for the schema's type variables; all empty when there is no kernel."""
    allowed = allowed_types(schema)
    if schema.name in LOADED_AS_INITIALIZER:
        found = [{variable: numpy_names(types) for variable, types in allowed.items()}]
    else:
        found = [
            {
                variable: numpy_names(types & constraints.get(variable, types))
                for variable, types in allowed.items()
            }
            for kernel in kernels
            if serves(kernel, schema.since_version)
            for constraints in [constrained_types(kernel, schema)]
        ]
    # A kernel for strings only is none that PyTensor could use.
    usable = [whole for kernel in found if all((whole := without_bfloat16(kernel)).values())]
    together = merged(usable) or [dict.fromkeys(allowed, frozenset())]
    return [with_bfloat16(alternative, found) for alternative in together]


def without_bfloat16(kernel: Alternative) -> Alternative:
    """What a kernel takes of PyTensor's dtypes: these alone decide which kernels become one."""
    return {variable: dtypes - {BFLOAT16} for variable, dtypes in kernel.items()}


def with_bfloat16(alternative: Alternative, kernels: Iterable[Alternative]) -> Alternative:
    """The alternative with bfloat16 where some kernel takes it, whatever the others are."""
    return {
        variable: dtypes
        | {
            BFLOAT16
            for kernel in kernels
            if BFLOAT16 in kernel[variable]
            and all(alternative[o] <= kernel[o] for o in alternative if o != variable)
        }
        for variable, dtypes in alternative.items()
    }


def serves(kernel: registry.KernelDef, since_version: int) -> bool:
    """Whether ONNX Runtime considers the kernel for a node of this schema version.

    A kernel without an end serves only the version it starts at: ONNX Runtime cannot know that a
    later schema means the same.
    """
    first, last = kernel.version_range
    return bool(first == since_version or (first < since_version <= last != OPEN_ENDED))


def allowed_types(schema: OpSchema) -> dict[str, frozenset[str]]:
    """The ONNX types that the schema allows, by type variable."""
    allowed = {}
    for constraint in schema.type_constraints:
        types = frozenset(constraint.allowed_type_strs)
        tensors = frozenset(name for name in types if name.startswith("tensor("))
        allowed[constraint.type_param_str] = tensors or types
    return allowed or {"": frozenset(value.type_str for value in [*schema.inputs, *schema.outputs])}


def constrained_types(kernel: registry.KernelDef, schema: OpSchema) -> dict[str, frozenset[str]]:
    """What the kernel asks of the schema's type variables.

    A kernel names either the type variable or an input or output that has it.
    """
    variables = {constraint.type_param_str for constraint in schema.type_constraints}
    values = {value.name: value.type_str for value in [*schema.inputs, *schema.outputs]}
    asked: dict[str, frozenset[str]] = {}
    for name, types in kernel.type_constraints.items():
        if name not in variables and name not in values:
            raise ValueError(
                f"a kernel of {schema.name}-{schema.since_version} constrains {name!r}, "
                f"which is neither a type variable {sorted(variables)} nor a value {sorted(values)}"
            )
        variable = name if name in variables else values[name]
        asked[variable] = asked.get(variable, frozenset(types)) & frozenset(types)
    return asked


def numpy_names(types: Iterable[str]) -> frozenset[str]:
    """The names of the ONNX types, or of their elements, that the table lists."""
    names = {re.sub(r".*tensor\((\w+)\).*", r"\1", name) for name in types}
    return frozenset(DTYPES[name] for name in names if name in DTYPES)


def merged(found: list[Alternative]) -> list[Alternative]:
    """The same combinations in fewer alternatives: those that differ in one variable become one."""
    result = sorted(found, key=sort_key)
    position = 0
    while position < len(result):
        for other in range(position + 1, len(result)):
            first, second = result[position], result[other]
            different = [variable for variable in first if first[variable] != second[variable]]
            if len(different) <= 1:
                joined = {variable: first[variable] | second[variable] for variable in first}
                rest = [kept for at, kept in enumerate(result) if at not in (position, other)]
                result = sorted([joined, *rest], key=sort_key)
                position = -1
                break
        position += 1
    return result


def sort_key(alternative: Alternative) -> list[list[int]]:
    """Alternatives in the order of their dtypes."""
    return [sorted(ORDER[name] for name in dtypes) for dtypes in alternative.values()]


if __name__ == "__main__":
    sys.exit(main())
