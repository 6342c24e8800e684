"""When two answers are the same.

Data is the same when its JSON text would be, but for white space and the spelling of strings and numbers: keys stand in
one order, `1` is not `true`, null is not an empty list. JSON has one kind of number, so two of them are the same when
their values are, exactly and however they are written: 1 and 1.0, 1e22 and 10000000000000000000000. An integer that
was rounded on its way through a float is another number.

Errors are the same when they have the same path, code and message; in any order, because fields may be executed in any.
Where errors made something above them null, GraphQL lets an implementation leave out those of other fields that are
gone with it: then each side must have an error there that the other has too, in whichever item of a list.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

MISSING = "(nothing)"


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place at which two answers differ, and what stands there."""

    path: str
    product: object
    oracle: object

    def __str__(self) -> str:
        return f"at {self.path}\n  product: {_shown(self.product)}\n  oracle:  {_shown(self.oracle)}"


def difference(product: Mapping[str, Any], oracle: Mapping[str, Any]) -> Difference | None:
    """The first difference of two decoded answers."""
    if ("data" in product) != ("data" in oracle):
        return Difference("the answer's members", sorted(product), sorted(oracle))
    return _errors(product, oracle) or _of_values("data", product.get("data"), oracle.get("data"))


def _errors(product: Mapping[str, Any], oracle: Mapping[str, Any]) -> Difference | None:
    ours, theirs = (_by_what_is_null(answer) for answer in (product, oracle))
    for place in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(place, Counter()), theirs.get(place, Counter())
        if mine == other or set(map(_in_any_item, mine)) & set(map(_in_any_item, other)):
            continue
        return Difference(f"the errors of {place}", sorted(mine.elements()), sorted(other.elements()))
    return None


def _by_what_is_null(answer: Mapping[str, Any]) -> dict[str, Counter[tuple[str, str, str]]]:
    """The errors by what they made null: their own field, or something above it."""
    found: defaultdict[str, Counter[tuple[str, str, str]]] = defaultdict(Counter)
    for error in answer.get("errors", ()):
        path = error.get("path") or []
        length, value = 0, answer.get("data")
        while value is not None and length < len(path):
            value = value[path[length]]
            length += 1
        found[json.dumps(path[:length])][_key(error)] += 1
    return found


def _key(error: Mapping[str, Any]) -> tuple[str, str, str]:
    return json.dumps(error.get("path")), json.dumps(error.get("extensions", {}).get("code")), error["message"]


def _in_any_item(key: tuple[str, str, str]) -> tuple[str, str, str]:
    path, code, message = key
    return re.sub(r"(?<=[\[ ])\d+(?=[\],])", "*", path), code, message


def _of_values(path: str, product: object, oracle: object) -> Difference | None:
    match product, oracle:
        case dict(), dict():
            return _of_objects(path, product, oracle)
        case list(), list():
            for place, (ours, theirs) in enumerate(zip_longest(product, oracle, fillvalue=MISSING)):
                if found := _of_values(f"{path}.{place}", ours, theirs):
                    return found
            return None
    same = _kind(product) is _kind(oracle) and product == oracle
    return None if same else Difference(path, product, oracle)


def _of_objects(path: str, product: dict[str, Any], oracle: dict[str, Any]) -> Difference | None:
    if list(product) != list(oracle):
        return Difference(f"the keys of {path}", list(product), list(oracle))
    for key, value in product.items():
        if found := _of_values(f"{path}.{key}", value, oracle[key]):
            return found
    return None


def _kind(value: object) -> type:
    return float if type(value) is int else type(value)


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) < 2_000 else text[:2_000] + " …"


def leaves(value: object) -> int:
    """How many values of an answer are not null, `__typename`s aside as far as their own name shows them."""
    if isinstance(value, dict):
        return sum(leaves(item) for key, item in value.items() if key != "__typename")
    if isinstance(value, list):
        return sum(map(leaves, value))
    return int(value is not None)
