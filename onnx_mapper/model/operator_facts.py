"""What is true of ONNX's operators and stands in no schema; `operator_facts.csv` lists it.

The column `commutative` says that inputs may trade places; `sign`, when a result is surely without a
sign, NaN aside: `never` has one, or only where one of the `inputs`, the `first` or one of the `later` ones has.
Not even -0 is left there, which a division would turn into -inf. `moves` says that each number of a result
is one of an input, or tells something of a single one: in any dtype that holds the inputs results are the same.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("operator_facts.csv")


@dataclass(frozen=True)
class Facts:
    """What is true of one operator.

    Attributes:
        commutative: Whether its inputs may trade places.
        sign: Which of its inputs give results a sign; empty where they may get one otherwise.
        moves: Whether it computes nothing, so that results are the same in every dtype that holds the inputs.
    """

    commutative: bool = False
    sign: str = ""
    moves: bool = False


@cache
def _facts() -> Mapping[str, Facts]:
    with _FILE.open(encoding="utf-8", newline="") as file:
        return {
            line["operator"]: Facts(bool(line["commutative"]), line["sign"], bool(line["moves"]))
            for line in csv.DictReader(file)
        }


def facts_of(operator: str) -> Facts:
    """Return what is true of an operator.

    Example:
        >>> facts_of("Add").commutative, facts_of("Sub").commutative
        (True, False)
    """
    return _facts().get(operator, Facts())
