"""Whole documents drawn from the schema by a seed, each with the requests that are made with it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

from graphql import GraphQLSchema, build_schema

import schema as schema_package
from tests.differential.constructs import Construct
from tests.differential.fragments import reachable
from tests.differential.material import Material
from tests.differential.scopes import Scope, Where
from tests.differential.selections import LEADING_TO, Selections
from tests.differential.values import FAULTS, Values
from tests.differential.variables import Variables

MOST_TO_DRAW = ("trainingJobs", "trainingJob", "node")
INTROSPECTION = (
    '__type(name: "TrainingJob") { name kind description fields { name type { name kind ofType { name } } } }',
    '__type(name: "Query") { fields { name args { name defaultValue type { kind name } } } }',
    '__type(name: "GateVerdict") { enumValues(includeDeprecated: true) { name description isDeprecated } }',
    '__type(name: "TrainingJobFilter") { inputFields { name defaultValue type { kind } } }',
    '__type(name: "Sheet") { interfaces { name } }',
    '__type(name: "Nothing") { name }',
    "__schema { queryType { name } mutationType { name } subscriptionType { name } }",
)


@dataclass(frozen=True, slots=True)
class Request:
    """One execution of a document."""

    operation_name: str | None
    variables: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Document:
    """A text, what is asked with it, and what it contains."""

    seed: int
    index: int
    text: str
    requests: Sequence[Request]
    drawn: Counter[Construct]


@lru_cache(maxsize=1)
def sdl() -> str:
    return (Path(schema_package.__file__).parent / "schema.graphql").read_text()


@lru_cache(maxsize=1)
def schema() -> GraphQLSchema:
    """The schema as its text says it, without a line of the code that answers."""
    return build_schema(sdl())


def document(seed: int, index: int, material: Material) -> Document:
    """The document with a number; it depends on nothing but the arguments."""
    return _Drawing(Random(f"{seed} {index}"), material).document(seed, index)  # noqa: S311  (a test, not a secret)


class _Drawing:
    def __init__(self, random: Random, material: Material) -> None:
        self._random = random
        self._drawn: Counter[Construct] = Counter()
        self._values = Values(random, material, self._drawn)
        self._variables = Variables(self._values, self._drawn)
        self._selections = Selections(schema(), self._values, self._variables, self._drawn)
        if random.random() < 0.12:
            self._values.fault = random.choice(FAULTS)

    def document(self, seed: int, index: int) -> Document:
        count = self._random.choices((1, 2, 3), (12, 2, 1))[0]
        self._drawn[Construct.SEVERAL_OPERATIONS] += count > 1
        names = self._random.sample(("A", "a", "query", "Jobs", "on", "null_", "B2"), count)
        operations, uses = [], []
        for name in names:
            text, variables, spread = self._operation(name, may_be_unnamed=count == 1)
            operations.append(text)
            uses.append((variables, spread))
        all_spread = set().union(*(spread for _, spread in uses))
        fragments = [
            f"fragment {fragment.name} on {fragment.type} {fragment.text}"
            for fragment in reachable(self._selections.fragments.all, all_spread)
        ]
        parts = fragments + operations if self._random.random() < 0.3 else operations + fragments
        text = self._random.choice(("\n", " ", "\n\n# next\n")).join(parts)
        requests = self._requests(names, [variables for variables, _ in uses])
        return Document(seed, index, text, requests, self._drawn)

    def _operation(self, name: str, *, may_be_unnamed: bool) -> tuple[str, set[str], set[str]]:
        """An operation with the variables that it declares and the fragments that it spreads."""
        selections, variables = self._selections, self._variables
        variables.used, selections.fragments.spread = set(), set()
        selections.left = self._random.choice((3, 6, 10, 15, 25, 40))
        body = self._roots()
        for fragment in reachable(selections.fragments.all, selections.fragments.spread):
            variables.used |= fragment.variables
        declared = ", ".join(variables.all[used].declaration for used in sorted(variables.used))
        if may_be_unnamed and self._random.random() < 0.4:
            head = f"query({declared}) " if declared else self._random.choice(("", "query "))
        else:
            head = f"query {name}({declared}) " if declared else f"query {name} "
        return f"{head}{body}", set(variables.used), set(selections.fragments.spread)

    def _roots(self) -> str:
        selections = self._selections
        root = schema().query_type
        assert root is not None
        at = Where(root, root.name, Scope())
        parts: list[str] = []
        for _ in range(self._random.choices((1, 2, 3), (6, 3, 1))[0]):
            among = self._random.random() < 0.2  # fragments, and fields that are there already
            parts.append(selections.part(at) if among else selections.field(at, self._root(list(root.fields))))
            selections.left = max(selections.left, self._random.choice((0, 3, 8)))
        self._drawn[Construct.SEVERAL_ROOTS] += len(parts) > 1
        if self._random.random() < 0.06:
            self._drawn[Construct.ROOT_TYPENAME] += 1
            parts.append("root: __typename")
        if self._random.random() < 0.04:
            self._drawn[Construct.INTROSPECTION] += 1
            parts.append("about_: " + self._random.choice(INTROSPECTION))
        self._random.shuffle(parts)
        return "{ " + " ".join(parts) + " }"

    def _root(self, names: Sequence[str]) -> str:
        """A root field: those with the most arguments below them, and those that a fault needs, more often."""
        leading = LEADING_TO.get(self._values.fault or Construct.ALIAS, ())
        return self._random.choices(
            names, [8 if name in leading else 4 if name in MOST_TO_DRAW else 1 for name in names]
        )[0]

    def _requests(self, names: Sequence[str], variables: Sequence[set[str]]) -> list[Request]:
        """Each operation once, and with other values as often as it has any."""
        self._values.in_document = False
        spent = any(self._drawn[fault] for fault in FAULTS)
        if spent:
            self._values.fault = None
        found: list[Request] = []
        for name, used in zip(names, variables, strict=True):
            for _ in range(self._random.choice((2, 3)) if used else 1):
                given = self._variables.given(used)
                found.append(Request(name if len(names) > 1 else None, given))
                self._values.fault = None
                if not spent and self._random.random() < 0.12:
                    self._values.fault = self._random.choice(FAULTS)
        self._random.shuffle(found)
        self._drawn[Construct.ASKED_AGAIN] += len(found) > len(names)
        return found
