"""Variables: how they are declared, and what a request gives for them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
)

from tests.differential.constructs import Construct
from tests.differential.values import Values, literal, nullable, required

WRONG: Mapping[str, tuple[Any, ...]] = {
    "Int": ("1", 1.5, 2**31, True, [], {}),
    "String": (1, True, {}, ["a"]),
    "ID": (1.5, True, {}),
    "Boolean": ("true", 0, []),
    "Float": ("0.5", True, {}),
    "DateTime": (1, "yesterday", "2026-02-06", "2026-02-06T10:00:00", {}),
}


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable. One that may not become null is for a place that takes no null."""

    name: str
    subject: str
    type: GraphQLInputType
    default: str | None
    may_be_null: bool

    @property
    def declaration(self) -> str:
        return f"${self.name}: {self.type}" + ("" if self.default is None else f" = {self.default}")


class Variables:
    """The variables of one document, by name, and the ones that are used where something is being drawn."""

    def __init__(self, values: Values, drawn: Counter[Construct]) -> None:
        self._values = values
        self._random: Random = values.random
        self._drawn = drawn
        self.all: dict[str, Variable] = {}
        self.used: set[str] = set()

    def use(self, subject: str, place: GraphQLInputType, *, has_default: bool) -> str:
        """A reference to a variable that fits a place; a new one, or one that is there already."""
        fitting = [
            variable
            for variable in self.all.values()
            if variable.subject == subject and _fits(variable, place, has_default=has_default)
        ]
        if fitting and self._random.random() < 0.4:
            variable = self._random.choice(fitting)
            self._drawn[Construct.VARIABLE_REUSED] += 1
        else:
            variable = self._declared(subject, place)
            self.all[variable.name] = variable
        self.used.add(variable.name)
        self._drawn[Construct.VARIABLE] += 1
        return f"${variable.name}"

    def _declared(self, subject: str, place: GraphQLInputType) -> Variable:
        name = self._random.choice(("v", "x", "first", "id", "r", "Var_", "p")) + str(len(self.all) + 1)
        bare = nullable(place)
        self._drawn[Construct.VARIABLE_INPUT] += isinstance(bare, GraphQLInputObjectType)
        self._drawn[Construct.VARIABLE_LIST] += isinstance(bare, GraphQLList)
        default = None
        if self._random.random() < 0.35:
            null = not required(place) and self._random.random() < 0.2
            fault, self._values.fault = self._values.fault, None  # a default may go unused
            default = "null" if null else literal(self._values.value(subject, bare), bare)
            self._values.fault = fault
            self._drawn[Construct.VARIABLE_DEFAULT] += 1
        if required(place):
            loose = default is not None and self._random.random() < 0.5
            return Variable(name, subject, bare if loose else place, default, may_be_null=False)
        strict = default != "null" and self._random.random() < 0.2
        return Variable(name, subject, GraphQLNonNull(bare) if strict else bare, default, may_be_null=not strict)

    def given(self, names: Iterable[str]) -> dict[str, Any]:
        """Values for a request, with the fault that is due in one of them."""
        found: dict[str, Any] = {}
        for name in sorted(names):
            variable = self.all[name]
            chance = self._random.random()
            if chance < 0.25 and (variable.default is not None or not required(variable.type)):
                self._drawn[Construct.VARIABLE_ABSENT] += 1
            elif chance < 0.35 and variable.may_be_null:
                self._drawn[Construct.VARIABLE_NULL] += 1
                found[name] = None
            else:
                found[name] = self._values.value(variable.subject, variable.type)
        if found and self._values.faulty(Construct.ERROR_COERCION):
            name = self._random.choice(list(found))
            found[name] = self._wrong(self.all[name].type)
        return found

    def _wrong(self, type_: GraphQLInputType) -> Any:  # noqa: ANN401  (JSON)
        if required(type_) and self._random.random() < 0.2:
            return None
        bare = nullable(type_)
        if isinstance(bare, GraphQLList):
            return [self._wrong(bare.of_type), self._wrong(bare.of_type)]
        if isinstance(bare, GraphQLEnumType):
            return self._random.choice(("running", "", 1, None if required(type_) else True))
        if isinstance(bare, GraphQLInputObjectType):
            name = self._random.choice(list(bare.fields))
            return self._random.choice(({"unknown": 1}, [], "x", {name: self._wrong(bare.fields[name].type)}))
        assert isinstance(bare, GraphQLScalarType)
        return self._random.choice(WRONG[bare.name])


def _fits(variable: Variable, place: GraphQLInputType, *, has_default: bool) -> bool:
    """Whether validation lets a variable stand here, and no value of it is an error here."""
    if str(nullable(variable.type)) != str(nullable(place)):
        return False
    if not required(place):
        return True
    return required(variable.type) or (not variable.may_be_null and (variable.default is not None or has_default))
