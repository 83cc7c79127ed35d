"""A wrong row is answered with its file, the line of the mistake and words that say what to do: a table.

Each entry is the rest of a row of `test_own_rows.Swish`, which has one attribute, `beta`, and begins on line 2.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytensor
import pytensor.tensor as pt
import pytest
from helpers import RAW
from test_own_rows import Swish

from onnx_mapper import Refused, RowError, export

HEAD = f"""
- op: {Swish.__module__}:Swish
  summary: A smooth ReLU.
  inputs: [x]
"""

WRONG: dict[str, tuple[str, int, str]] = {
    "reads typo": (
        """\
  reads: [betaa]
  onnx: Mul(x, betaa)
""",
        5,
        "reads: Swish has no attribute 'betaa'; did you mean 'beta'?",
    ),
    "reads typo2": (
        """\
  reads: [betaa]
  onnx: Mul(x, beta)
""",
        5,
        "reads: Swish has no attribute 'betaa'; did you mean 'beta'?",
    ),
    "inline": (
        """\
  inline: fgraf
  attributes: {beta: {ignore: no reason here}}
""",
        5,
        "inline: Swish has no attribute 'fgraf'",
    ),
    "delegate": (
        """\
  delegate: opp
  attributes: {beta: {ignore: no reason here}}
""",
        5,
        "delegate: Swish has no attribute 'opp'; did you mean 'op'?",
    ),
    "delegate not op": (
        "  delegate: beta\n",
        5,
        "delegate: Swish.beta is 1.5, and no op",
    ),
    "inline not graph": (
        "  inline: beta\n",
        5,
        "inline: Swish.beta is 1.5, and no graph",
    ),
    "unfuse": (
        "  unfuse: beta\n",
        5,
        "unfuse: Swish.beta is 1.5, and no op with an inner graph",
    ),
    "outputs": (
        """\
  onnx:
    - y = Mul(x, beta)
    - z = Exp(y)
  outputs: [z, w]
""",
        8,
        "outputs: no statement of the body assigns 'w'",
    ),
    "outputs2": (
        """\
  onnx:
    - y = Mul(x, beta)
    - z = Exp(y)
  outputs: [z, y]
""",
        2,
        "gives 2 results where Swish{beta=1.5} has 1",
    ),
    "promote": (
        """\
  promote: "'float99'"
  onnx: Mul(x, beta)
""",
        5,
        "promote: promote gives 'float99', which is no dtype; there are:",
    ),
    "promote3": (
        """\
  promote: 3
  onnx: Mul(x, beta)
""",
        5,
        "promote: promote gives 3, which is no dtype; there are: bool, in",
    ),
    "promote unknown input": (
        """\
  promote: {z: dtype(x)}
  onnx: Mul(x, beta)
""",
        5,
        "promote/z: 'z' is no input; there are: x",
    ),
    "finish": (
        """\
  onnx: Mul(x, beta)
  finish: Exp(result
""",
        6,
        "finish: no expression, column 4: '(' was never closed in 'Exp(re",
    ),
    "finish wo": (
        """\
  onnx: Mul(x, beta)
  finish: Expp(result)
""",
        6,
        "finish: column 1: 'Expp' is no ONNX operator; did you mean Exp o",
    ),
    "let": (
        """\
  let: {a: nope(x)}
  onnx: Mul(x, beta)
""",
        5,
        "let/a: column 1: no function 'nope' in the formula language; did",
    ),
    "rewrite unknown": (
        """\
  rewrite: {z: Exp(x)}
  onnx: Mul(x, beta)
""",
        5,
        "rewrite: 'z' is no input; there are: x",
    ),
    "needs syntax": (
        """\
  needs: {"rank(x) ==": it must have some axes}
  onnx: Mul(x, beta)
""",
        5,
        "needs/rank(x) ==: no expression: invalid syntax in 'rank(x) =='",
    ),
    "choose": (
        """\
  choose: Exp(x)
  onnx: Mul(x, beta)
""",
        5,
        "choose: the tensor 'Exp_0' can't be tested while exporting: use",
    ),
    "guard tensor": (
        """\
  onnx:
    - when x: Exp(x)
    - Mul(x, beta)
""",
        6,
        "onnx/0/when: the tensor 'x' can't be tested while exporting: use",
    ),
    "guard last": (
        """\
  onnx:
    - when beta > 1: Exp(x)
""",
        6,
        "onnx/0: the last statement holds without a condition: write what",
    ),
    "guard two": (
        """\
  onnx:
    - {when beta > 1: Exp(x), when beta > 2: x}
    - Mul(x, beta)
""",
        6,
        "onnx/0: {'when beta > 1': 'Exp(x)', 'when beta > 2': 'x'} has to",
    ),
    "guard if": (
        """\
  onnx:
    - if beta > 1: Exp(x)
    - Mul(x, beta)
""",
        6,
        "onnx/0: 'if beta > 1' must look like ^when",
    ),
    "loop few": (
        """\
  onnx: loop(3, x=x)
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: column 1: loop takes the number of steps, what a step make",
    ),
    "loop less": (
        """\
  onnx: loop(3, [], y=x)
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: a step of a loop gives 0 tensors, and its state has 1",
    ),
    "loop text": (
        "  onnx: loop('a', Mul(y, beta), y=x)\n",
        5,
        "onnx: 'a' does not fit int64",
    ),
    "loop static state": (
        """\
  onnx: loop(30, 2, y=1)
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: a graph's outputs are tensors, not 1",
    ),
    "loop dtype": (
        """\
  onnx: loop(30, Cast(y, to='int64'), y=x)
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: ONNX does not take Loop(int64[], bool[], float32[None]): [",
    ),
    "loop float n": (
        "  onnx: loop(Exp(x), Mul(y, beta), y=x)\n",
        5,
        "onnx: ONNX Runtime's Loop does not compute in float32 at opset 2",
    ),
    "reshape": (
        "  onnx: Reshape(Mul(x, beta), [-5, 3])\n",
        5,
        "onnx: ONNX does not take Reshape(float32[None], int64[2]): [Shap",
    ),
    "conv": (
        "  onnx: Conv(Mul(x, beta), x)\n",
        5,
        "onnx: ONNX does not take Conv(float32[None], float32[None]): [Sh",
    ),
    "maxpool": (
        """\
  onnx: Squeeze(MaxPool(constant([[[1.0, 2.0]]], 'float32'), kernel_shape=[5]), [0, 1])
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: MaxPool_0 would have the shape [1, 1, -2]",
    ),
    "avgpool": (
        """\
  onnx: Squeeze(AveragePool(constant([[[1.0, 2.0]]], 'float32'), kernel_shape=[5], pads=[0, -3]), [0, 1])
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: ONNX does not take AveragePool(float32[1, 1, 2]): [ShapeIn",
    ),
    "convtranspose": (
        """\
  onnx: ConvTranspose(constant([[[1.0, 2.0]]], 'float32'), constant([[[1.0]]], 'float32'), pads=[5, 5])
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: gives 3 axes where PyTensor's Swish gives 1",
    ),
    "col2im": (
        """\
  onnx: Col2Im(constant([[[1.0, 2.0]]], 'float32'), [1, 2], [5, 5])
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: gives 4 axes where PyTensor's Swish gives 1",
    ),
    "gather far": (
        """\
  onnx: Gather(constant([1.0], 'float32'), 9)
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: gives 0 axes where PyTensor's Swish gives 1",
    ),
    "tile neg": (
        "  onnx: Tile(Mul(x, beta), [-2])\n",
        5,
        "onnx: ONNX does not take Tile(float32[None], int64[1]): [ShapeIn",
    ),
    "range huge": (
        """\
  onnx: Range(0.0, 1e300, 1e-300)
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: Range: the dtype of 0.0 is open; say it with constant(numb",
    ),
    "constantofshape": (
        """\
  onnx: ConstantOfShape([-4])
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: ONNX does not take ConstantOfShape(int64[1]): [ShapeInfere",
    ),
    "eyelike": (
        """\
  onnx: EyeLike(x)
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: ONNX does not take EyeLike(float32[None]): [ShapeInference",
    ),
    "onehot neg": (
        """\
  onnx: OneHot(Cast(x, to='int64'), -3, constant([0, 1], 'float32'))
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: OneHot: the dtype of -3 is open; say it with constant(numb",
    ),
    "topk": (
        "  onnx: TopK(Mul(x, beta), [-1])\n",
        5,
        "onnx: ONNX does not take TopK(float32[None], int64[1]): Node wit",
    ),
    "spacetodepth": (
        """\
  onnx: SpaceToDepth(constant([[[[1.0]]]], 'float32'), blocksize=0)
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: ONNX does not take SpaceToDepth(float32[1, 1, 1, 1]): [Sha",
    ),
    "attr inputs": (
        """\
  onnx: Mul(x, beta)
  attributes: {beta: {to: alpha}}
""",
        6,
        "attributes/beta: 'alpha' is no attribute of Mul; it has: none",
    ),
    "attr table": (
        """\
  onnx: Elu(x)
  attributes: {beta: {to: alpha, table: {3: 1.0}}}
""",
        6,
        "the key 3 is no text: write '3' in quotes",
    ),
    "attr hook": (
        """\
  onnx: Elu(x)
  attributes: {beta: {to: alpha, otherwise: {hook: nope}}}
""",
        6,
        "attributes/beta/otherwise/hook: 'nope' is not allowed; it is one",
    ),
    "attr hook2": (
        """\
  onnx: Elu(x)
  attributes: {beta: {to: alpha, otherwise: {hook: flip}}}
""",
        6,
        "attributes/beta/otherwise: the hook flip: flip() missing 1 requi",
    ),
    "attr rewrite": (
        """\
  onnx: Elu(x)
  attributes: {beta: {rewrite: {z: Exp(x)}}}
""",
        6,
        "attributes/beta/rewrite: 'z' is no input; there are: x",
    ),
    "dup": (
        """\
  onnx: Mul(x, beta)
  onnx: Mul(x, beta)
""",
        6,
        "the key 'onnx' stands here twice",
    ),
    "graph": (
        """\
  onnx: Loop(3, True, x, body=graph([going], i=scalar('int64'), going=scalar('bool'), y=x))
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: ONNX does not take Loop(int64[], bool[], float32[None]): [",
    ),
    "branch": (
        """\
  onnx: If(x, then_branch=branch(x), else_branch=branch(x))
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: ONNX Runtime's If does not compute in float32 at opset 21,",
    ),
    "if mismatched": (
        """\
  onnx: If(constant(True, 'bool'), then_branch=branch(x), else_branch=branch(Cast(x, to='int64')))
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: ONNX does not take If(bool[]): [TypeInferenceError] Mismat",
    ),
    "excess": (
        """\
  onnx: Mul(x, excess(x, 3))
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: excess asks about two inputs of the op, as they come in",
    ),
    "noise": (
        """\
  onnx: noise('standard normal', dtype(x), dims(x))
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: noise is made only where `needs` says that random is 'inpu",
    ),
    "inner": (
        "  onnx: inner(beta, x)[0]\n",
        5,
        "onnx: 1.5 is no graph",
    ),
    "applied": (
        "  onnx: applied(beta, [x], 0)[0]\n",
        5,
        "onnx: applied takes an op that an attribute holds, not 1.5",
    ),
    "repeated": (
        "  onnx: repeated(beta, [x], 0)[0]\n",
        5,
        "onnx: repeated takes an op that an attribute holds, not 1.5",
    ),
    "batches": (
        "  onnx: Mul(x, takes_batches(beta))\n",
        5,
        "onnx: takes_batches takes an op that an attribute holds, not 1.5",
    ),
    "unknown function": (
        """\
  onnx: Mul(x, dimz(x))
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: column 8: no function 'dimz' in the formula language; did",
    ),
    "wrong count": (
        """\
  onnx: Mul(x, rank(x, x))
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: column 8: rank takes 1 argument, as in rank(x), not 2",
    ),
    "too many inputs": (
        "  onnx: Exp(x, beta)\n",
        5,
        "onnx: column 1: Exp takes 1 to 1 inputs, not 2",
    ),
    "unknown attribute": (
        "  onnx: Elu(x, alfa=beta)\n",
        5,
        "onnx: column 1: 'alfa' is no attribute of Elu; it has: alpha",
    ),
    "attribute type": (
        """\
  onnx: Elu(x, alpha='much')
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: column 14: Elu's alpha is of type FLOAT, not 'much'",
    ),
    "required attribute": (
        "  onnx: Cast(Mul(x, beta))\n",
        5,
        "onnx: column 1: Cast needs the attribute 'to'",
    ),
    "cast dtype": (
        "  onnx: Cast(Mul(x, beta), to='float33')\n",
        5,
        "onnx: column 23: Cast's to is of type INT, not 'float33'",
    ),
    "constant dtype": (
        "  onnx: Mul(x, constant(beta, 'float33'))\n",
        5,
        "onnx: column 8: 'float33' is no dtype; did you mean float32 or f",
    ),
    "constant alone": (
        "  onnx: Mul(x, constant(beta))\n",
        5,
        "onnx: column 8: constant takes 2 arguments, as in constant(numbe",
    ),
    "runs nope": (
        "  onnx: \"Mul(x, beta) if runs('Nope', x) else x\"\n",
        5,
        "onnx: column 17: 'Nope' is no ONNX operator; did you mean Not or",
    ),
    "runs nothing": (
        "  onnx: Mul(x, beta) if runs() else x\n",
        5,
        "onnx: column 17: runs takes 1 or more arguments, as in runs('Op'",
    ),
    "like one": (
        "  onnx: like(Mul(x, beta))\n",
        5,
        "onnx: column 1: like takes 2 arguments, as in like(x, y), not 1",
    ),
    "like number": (
        "  onnx: like(Mul(x, beta), 2)\n",
        5,
        "onnx: column 1: like takes a tensor, not 2",
    ),
    "too new": (
        "  onnx: Swish(x, alpha=beta)\n",
        5,
        "onnx: column 1: Swish exists only at opsets 24 to 28: guard it,",
    ),
    "import": (
        """\
  onnx: __import__('os')
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: column 1: '__import__' can't be called",
    ),
    "dict": (
        '  onnx: "Mul(x, {1: beta}[1])"\n',
        5,
        "onnx: column 8: Dict is not part of the formula language; it has",
    ),
    "private": (
        "  onnx: Mul(x, beta.__class__)\n",
        5,
        "onnx: column 8: the attribute '__class__' is private",
    ),
    "field": (
        "  onnx: Mul(x, beta.real)\n",
        5,
        "onnx: 1.5 has no field 'real'; it has: none",
    ),
    "text plus": (
        "  onnx: Mul(x, 'a' + beta)\n",
        5,
        "onnx: 'a' can't be used with '+', which takes numbers",
    ),
    "tensor plus": (
        "  onnx: Mul(x + 1, beta)\n",
        5,
        "onnx: the tensor 'x' can't be used with '+', which computes whil",
    ),
    "tensor if": (
        "  onnx: Mul(x, beta) if x else x\n",
        5,
        "onnx: the tensor 'x' can't be tested while exporting: use Where",
    ),
    "unknown size": (
        "  onnx: Mul(x, dims(x)[0] * beta)\n",
        5,
        "onnx: (size 0 of x * 1.5) is not known at export",
    ),
    "compare size": (
        "  onnx: Mul(x, beta) if dims(x)[0] < 3 else x\n",
        5,
        "onnx: size 0 of x (unknown at export) can't be compared with '<'",
    ),
    "index": (
        "  onnx: Mul(x, [1, 2][beta])\n",
        5,
        "onnx: [1, 2][1.5]: tuple indices must be integers or slices, not",
    ),
    "zero": (
        "  onnx: Mul(x, beta / 0)\n",
        5,
        "onnx: 1.5 / 0: float division by zero",
    ),
    "power": (
        "  onnx: Mul(x, beta ** 100000)\n",
        5,
        "onnx: the exponent 100000 is too large",
    ),
    "dtype out": (
        "  onnx: Cast(Mul(x, beta), to='float64')\n",
        5,
        "onnx: gives float64 where PyTensor's Swish gives float32: add a",
    ),
    "two dtypes": (
        "  onnx: Add(x, Cast(Mul(x, beta), to='float64'))\n",
        5,
        "onnx: Add takes inputs of one dtype, not float32 and float64: us",
    ),
    "rank": (
        "  onnx: Unsqueeze(Mul(x, beta), [0])\n",
        5,
        "onnx: gives 2 axes where PyTensor's Swish gives 1",
    ),
    "unpack": (
        """\
  onnx:
    - a, b = Mul(x, beta)
    - a
""",
        6,
        "onnx/0: ONNX does not take Mul(float32[None], float32[]): Node w",
    ),
    "assign upper": (
        """\
  onnx:
    - Y = Mul(x, beta)
    - Y
""",
        6,
        "onnx/0: 'Y' can't be assigned: names start with a lower-case let",
    ),
    "nameless": (
        """\
  onnx:
    - Mul(x, beta)
    - x
""",
        6,
        "onnx/0: only the last statement may lack a name or a condition:",
    ),
    "undefined": (
        """\
  onnx: Mul(x, gamma_)
  attributes: {beta: {ignore: it does not matter here}}
""",
        5,
        "onnx: Swish has no attribute 'gamma_' here, which formulas read;",
    ),
    "more outputs than the attribute says": (
        """\
  attributes: {beta: {ignore: it does not matter here}}
  onnx:
    - parts = Split(x, axis=0, num_outputs=2, outputs=3)
    - parts[0]
""",
        7,
        "onnx/0: Split gives 2 outputs by its num_outputs, and 3 are asked for",
    ),
    "unread numbers": (
        """\
  onnx: Mul(x, beta)

- define: bent(x)
  summary: A line that is bent.
  numbers:
    over: [1.5, 2.5]
    under: [1.0]
  onnx: polynomial(x, over)
""",
        11,
        "numbers/under: no formula reads 'under': drop it, or use it in `onnx`",
    ),
    "numbers that a statement covers": (
        """\
  onnx: Mul(x, beta)

- define: bent(x)
  summary: A line that is bent.
  numbers: {terms: [1.5, 2.5]}
  onnx:
    - terms = Mul(x, 2)
    - Add(terms, 1)
""",
        9,
        "numbers/terms: 'terms' means something else here: name the numbers otherwise",
    ),
    "numbers called like what is always there": (
        """\
  onnx: Mul(x, beta)

- define: bent(x)
  summary: A line that is bent.
  numbers: {opset: [1.5, 2.5]}
  onnx: polynomial(x, opset)
""",
        9,
        "numbers/opset: 'opset' means something else here: name the numbers otherwise",
    ),
    "numbers in an argument's place": (
        """\
  onnx: Mul(x, beta)

- define: bent(x)
  summary: A line that is bent.
  numbers: {x: [1.5, 2.5]}
  onnx: Mul(x, 2)
""",
        9,
        "numbers/x: 'x' is an argument already: name the numbers otherwise",
    ),
    "two meanings": (
        """\
  onnx: Mul(x, beta)
  refuse: it can't be said at all
""",
        2,
        "a row has exactly one of: onnx, inline, delegate, unfuse, refuse",
    ),
    "no meaning": (
        "  let: {b: beta}\n",
        2,
        "a row has exactly one of: onnx, inline, delegate, unfuse, refuse",
    ),
    "unknown key": (
        """\
  onnx: Mul(x, beta)
  inputz: [x]
""",
        6,
        "inputz: 'inputz' is not allowed here; there are: attributes, bat",
    ),
    "no verb": (
        "  onnx: Exp(x)\n",
        2,
        "Swish's attribute 'beta' has no verb: say `to`, `rewrite`, `requ",
    ),
    "two verbs": (
        """\
  onnx: Elu(x)
  attributes: {beta: {to: alpha, ignore: it does not matter}}
""",
        6,
        "attributes/beta: an attribute has exactly one verb of: to, rewri",
    ),
    "unknown verb": (
        """\
  onnx: Elu(x)
  attributes: {beta: {turn: alpha}}
""",
        6,
        "attributes/beta/turn: 'turn' is not allowed here; there are: bec",
    ),
    "short reason": (
        """\
  onnx: Exp(x)
  attributes: {beta: {ignore: no}}
""",
        6,
        "no is read differently by YAML 1.1 and 1.2: write 'no' in quotes",
    ),
    "no receiver": (
        """\
  onnx: Exp(x)
  attributes: {beta: {to: alpha}}
""",
        6,
        "attributes/beta: 'alpha' is no attribute of Exp; it has: none",
    ),
    "no such attribute": (
        """\
  onnx: Mul(x, beta)
  attributes: {gamma: {ignore: it does not matter here}}
""",
        6,
        "attributes/gamma: Swish has no attribute 'gamma' here; it has: b",
    ),
    "anchor": (
        "  onnx: &a Mul(x, beta)\n",
        5,
        "anchors and aliases are not allowed: use a family or a define",
    ),
    "bool key": (
        """\
  onnx: Mul(x, beta)
  subclasses: yes
""",
        6,
        "yes is read differently by YAML 1.1 and 1.2: write 'yes' in quot",
    ),
    "question": (
        """\
  onnx: Mul(x, beta)
  reads: [ndim?]
""",
        6,
        "ndim? in a list on one line needs quotes: 'ndim?'",
    ),
    "an attribute that ends processes": (
        """\
  onnx: GatherND(Unsqueeze(Mul(x, beta), [0]), constant([[0]], 'int64'), batch_dims=-5)
""",
        5,
        "onnx: GatherND's batch_dims is -5; it must be 0 or more",
    ),
    "an attribute beyond 32 bits": (
        """\
  onnx: Gather(Mul(x, beta), constant([0], 'int64'), axis=4294967296)
""",
        5,
        "onnx: Gather's axis is 4294967296, which does not fit 32 bits",
    ),
    "an attribute that is no number": (
        "  onnx: Elu(Mul(x, beta), alpha=nan)\n",
        5,
        "onnx: Elu's alpha can't be nan",
    ),
    "a dtype's code": (
        "  onnx: Cast(Mul(x, beta), to=77)\n",
        5,
        "onnx: 77 is no dtype of ONNX",
    ),
}


@pytest.fixture(scope="module")
def function() -> Any:
    x = pt.fvector("x")
    return pytensor.function([x], Swish(1.5)(x), mode=RAW)


def test_the_table_is_long() -> None:
    assert len(WRONG) >= 60


@pytest.mark.parametrize(("rest", "line", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_row_is_told_by_its_line(
    rest: str, line: int, says: str, tmp_path: Path, function: Any
) -> None:
    path = tmp_path / "rows.yaml"
    path.write_text(HEAD + rest, encoding="utf-8")
    with pytest.raises((RowError, Refused)) as caught:
        export(function, mappings=[path])
    assert f"rows.yaml:{line}: {says}" in str(caught.value)


def test_one_wrong_row_hides_no_other_refusal(tmp_path: Path) -> None:
    """All reasons come to light at once, whatever a row's formula raises."""
    x = pt.fvector("x")
    outputs = [Swish(1.5)(x), Swish(2.5)(pt.exp(x)), pt.linalg.eig(pt.outer(x, x))[0]]
    function = pytensor.function([x], outputs, mode=RAW)
    body = "  onnx: Mul(x, [1, 2][beta])\n"
    (tmp_path / "rows.yaml").write_text(HEAD + body, encoding="utf-8")
    with pytest.raises(Refused) as caught:
        export(function, mappings=[tmp_path])
    told = str(caught.value)
    assert "[1, 2][1.5]" in told
    assert "[1, 2][2.5]" in told
    assert "Eig" in told
