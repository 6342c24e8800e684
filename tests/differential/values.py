"""Values for arguments and variables: mostly sensible, now and then at an edge, wrong only where that is asked for."""

import json
from collections import Counter
from random import Random
from typing import Any, TypeAlias

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    get_named_type,
)
from graphql.language.print_string import print_string

from tests.differential.awkward import TEXTS
from tests.differential.constructs import FILTERS, Construct
from tests.differential.material import Material

GraphQLNullableInput: TypeAlias = GraphQLScalarType | GraphQLEnumType | GraphQLInputObjectType | GraphQLList[Any]
SIZES = (0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 7, 19, 20, 21, 22, 23, 24, 25, 26, 100)
BEYOND = (101, 130, 1000, 2**31 - 1)
POINTS = (2, 3, 4, 5, 6, 7, 10, 50, 499, 500, 501, 700, 10_000, 10_001, 2**31 - 1)
BAD_CURSORS = (
    "",
    "x",
    "W10=",
    "bnVsbA==",
    "W1tdXQ==",
    "WyJqb2JzIiwxLDJd",
    "WyJqb2JzIl0=",
    "ä",
    "WyJqb2JzIiwi",
    "%00",
    "MQ==",
)
MALFORMED = (
    "",
    "_",
    "job",
    "job_",
    "JOB_1",
    "job-1",
    "job_\u0000",
    "job_ü",
    "job_🦓",
    " job_1",
    "1",
    "x" * 300,
    "evt_'--",
    "__",
)
FEW_POINTS = (1, 0, -1, -(2**31))
RATIOS = (0.0, 0.05, 0.96, 1, -1.5, 1e300)
ZONES = ("Z", "+00:00", "+05:30", "-11:00")
SURROGATE = "lone \ud83e surrogate"

FAULTS = (
    Construct.ERROR_NEGATIVE,
    Construct.ERROR_BOTH_ENDS,
    Construct.ERROR_CURSOR,
    Construct.ERROR_OTHER_LIST,
    Construct.ERROR_NUL,
    Construct.ERROR_SURROGATE,
    Construct.ERROR_POINTS,
    Construct.ERROR_RATIO,
    Construct.ERROR_COERCION,
)


class Values:
    """Draws values. At most one of them is wrong in the way that `fault` says, which is then None again."""

    def __init__(self, random: Random, material: Material, drawn: Counter[Construct]) -> None:
        self.random = random
        self.material = material
        self.drawn = drawn
        self.fault: Construct | None = None
        self.in_document = True

    def faulty(self, *faults: Construct) -> Construct | None:
        """The fault that is due, if it is one of these; it is then spent."""
        if self.fault not in faults:
            return None
        fault, self.fault = self.fault, None
        self.drawn[fault] += 1
        return fault

    def value(self, subject: str, type_: GraphQLInputType) -> Any:  # noqa: ANN401  (JSON)
        """A value that is not null. `subject` says what it is about: an argument's name, with what it belongs to."""
        bare = nullable(type_)
        if isinstance(bare, GraphQLList):
            return self._list(subject, bare)
        if isinstance(bare, GraphQLInputObjectType):
            return self._object(bare)
        if isinstance(bare, GraphQLEnumType):
            word = self.random.choice(list(bare.values))
            self._note_order(word)
            return word
        return self._named(*subject.split(":"))

    def _list(self, subject: str, type_: GraphQLList[GraphQLInputType]) -> Any:  # noqa: ANN401
        count = self.random.choice((0, 1, 1, 2, 2, 3, 5))
        if not self.in_document and count == 1 and self.random.random() < 0.5:
            self.drawn[Construct.SINGLE_AS_LIST] += 1
            return self.value(subject, type_.of_type)
        return [self.value(subject, type_.of_type) for _ in range(count)]

    def _object(self, type_: GraphQLInputObjectType) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, field in type_.fields.items():
            if self.random.random() < 0.22:
                found[name] = None if self.random.random() < 0.12 else self.value(subject_of(name), field.type)
                self.drawn[FILTERS[name]] += found[name] is not None
        self.drawn[Construct.FILTER_EMPTY] += not found
        return found

    def _note_order(self, word: str) -> None:
        self.drawn[Construct.ORDER_NEWEST] += word == "CREATED_AT_DESC"
        self.drawn[Construct.ORDER_OLDEST] += word == "CREATED_AT_ASC"

    def _cursor(self, of: str) -> str:
        match self.faulty(Construct.ERROR_CURSOR, Construct.ERROR_OTHER_LIST):
            case Construct.ERROR_CURSOR:
                return self.random.choice(BAD_CURSORS)
            case Construct.ERROR_OTHER_LIST:
                return self.random.choice([cursors[0] for name, cursors in self.material.cursors.items() if name != of])
        return self.random.choice(self.material.cursors[of])

    def _id(self, of: str) -> Any:  # noqa: ANN401  (an id may be given as a number)
        match self.random.randrange(24):
            case 0:
                self.drawn[Construct.ID_UNKNOWN] += 1
                known = self.random.choice(self.material.ids[of])
                return known.partition("_")[0] + "_" + "0" * 32
            case 1:
                self.drawn[Construct.ID_OTHER_TYPE] += 1
                return self.random.choice(
                    self.material.ids[self.random.choice([t for t in self.material.ids if t != of])]
                )
            case 2:
                self.drawn[Construct.ID_MALFORMED] += 1
                return self.random.choice((*MALFORMED, 5, *(() if self.in_document else (SURROGATE,))))
        known_ids = self.material.ids[of]
        return self.random.choice(known_ids[:8] if self.random.random() < 0.6 else known_ids)

    def _size(self, about: str) -> int:
        if self.faulty(Construct.ERROR_NEGATIVE):
            return self.random.choice((-1, -2, -(2**31)))
        size = self.random.choice(SIZES if self.random.random() < 0.78 else BEYOND)
        self.drawn[Construct.FIRST if about == "first" else Construct.LAST] += 1
        self.drawn[Construct.FIRST_NONE] += size == 0
        if size > 100:
            self.drawn[Construct.FIRST_BEYOND if about == "first" else Construct.LAST_BEYOND] += 1
        return size

    def _named(self, about: str, of: str = "") -> Any:  # noqa: ANN401
        found: Any = None
        match about:
            case "flag":
                found = self.random.random() < 0.5
            case "after" | "before":
                found = self._cursor(of)
            case "id" | "sheetId" | "trainingSheetId":
                found = self._id(of)
            case "first" | "last":
                found = self._size(about)
            case "createdAfter" | "createdBefore":
                found = self._moment()
            case "modelName" | "createdBy" | "modelVersion" | "keys":
                found = self._text(about)
            case _:
                found = self._number(about)
        return found

    def _number(self, about: str) -> float:
        match about:
            case "maxPoints":
                self.drawn[Construct.MAX_POINTS] += 1
                return self.random.choice(FEW_POINTS if self.faulty(Construct.ERROR_POINTS) else POINTS)
            case "trainValSplit":
                if self.faulty(Construct.ERROR_RATIO):
                    return self.random.choice(RATIOS)
                return self.random.choice((0.1, 0.5, 0.8, 0.95, 1 / 3))
            case "splitSeed":
                return self.random.choice((0, 1, 7, 2**31 - 1))
        raise ValueError(f"no values for {about}")

    def _text(self, about: str) -> str:
        fault = self.faulty(Construct.ERROR_NUL, *(() if self.in_document else (Construct.ERROR_SURROGATE,)))
        if fault is not None:
            return SURROGATE if fault is Construct.ERROR_SURROGATE else "nul \u0000 nul"
        known = {
            "modelName": self.material.models,
            "createdBy": self.material.creators,
            "modelVersion": self.material.versions,
            "keys": self.material.series,
        }
        return self.random.choice(known[about] if self.random.random() < 0.9 else TEXTS)

    def _moment(self) -> str:
        """Near a job's own moment, in any zone, with any number of digits behind the second."""
        moment = self.random.choice(self.material.moments)
        day, seconds = moment[:19], moment[20:26]
        match self.random.randrange(4):
            case 0:
                return moment
            case 1:
                return f"{day}{self.random.choice(ZONES)}"
            case 2:
                return f"{day}.{seconds[:3]}{self.random.choice(ZONES)}"
        return f"{day}.{seconds}{self.random.choice(ZONES)}"


def subject_of(name: str, connection: str | None = None) -> str:
    """What an argument's or an input's value is about."""
    match name:
        case "after" | "before":
            return f"{name}:{connection}"
        case "sheetId":
            return "sheetId:Sheet"
        case "trainingSheetId":
            return "trainingSheetId:TrainingSheet"
    return name


def literal(value: Any, type_: GraphQLInputType) -> str:  # noqa: ANN401  (JSON)
    """A value as it is written in a document."""
    bare = nullable(type_)
    match value, bare:
        case list(), GraphQLList():
            return "[" + ", ".join(literal(item, bare.of_type) for item in value) + "]"
        case dict(), GraphQLInputObjectType():
            members = (f"{name}: {literal(item, bare.fields[name].type)}" for name, item in value.items())
            return "{" + ", ".join(members) + "}"
        case str(), _:
            return value if isinstance(get_named_type(bare), GraphQLEnumType) else print_string(value)
    return json.dumps(value)


def nullable(type_: GraphQLInputType) -> GraphQLNullableInput:
    """The type without its `!`."""
    return type_.of_type if isinstance(type_, GraphQLNonNull) else type_


def required(type_: GraphQLInputType) -> bool:
    return isinstance(type_, GraphQLNonNull)
