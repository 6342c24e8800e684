"""Drawing the arguments of a field: which are given, as what, and how many items they let through."""

from collections import Counter
from dataclasses import dataclass
from random import Random

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLList,
    Undefined,
    get_named_type,
    get_nullable_type,
)

from tests.differential.constructs import FILTERS, Construct
from tests.differential.values import Values, literal, nullable, required, subject_of
from tests.differential.variables import Variables

DEFAULT_PAGE = 20
LONGEST = 26  # about how many rows most lists have
TEXTS = {"modelName", "createdBy", "modelVersion"}
ROOT_IDS = {"trainingJob": "TrainingJob", "trainingSheet": "TrainingSheet", "qaPair": "QaPair"}


@dataclass(frozen=True, slots=True)
class Drawn:
    """Arguments as text, how many items come at most, and the type that an id in them leads to."""

    text: str
    items: int = 1
    leads_to: str | None = None
    behind_cursor: bool = False


class Arguments:
    """Draws arguments."""

    def __init__(self, values: Values, variables: Variables, drawn: Counter[Construct]) -> None:
        self._values = values
        self._variables = variables
        self._drawn = drawn
        self._random: Random = values.random

    def draw(self, name: str, field: GraphQLField, most: int) -> Drawn:
        """Arguments with which a list has no more items than `most`."""
        if "after" in field.args:
            return self._of_list(field, most)
        if "id" in field.args:
            return self._of_id(name, field.args["id"])
        chosen = [
            f"{arg}: {self._given(subject_of(arg), argument)}"
            for arg, argument in field.args.items()
            if required(argument.type) or self._random.random() < 0.5
        ]
        return Drawn(_joined(chosen), 5 if isinstance(get_nullable_type(field.type), GraphQLList) else 1)

    def _of_id(self, name: str, argument: GraphQLArgument) -> Drawn:
        of = ROOT_IDS.get(name) or self._random.choice(list(self._values.material.ids))
        self._drawn[Construct.NODE] += name == "node"
        return Drawn(f"(id: {self._given(f'id:{of}', argument)})", 1, of)

    def _of_list(self, field: GraphQLField, most: int) -> Drawn:
        connection = get_named_type(field.type).name
        sizes, items = self._sizes(field, most)
        cursors = [arg for arg in ("after", "before") if arg in field.args and self._random.random() < 0.3]
        if self._values.fault in (Construct.ERROR_CURSOR, Construct.ERROR_OTHER_LIST) and not cursors:
            cursors = ["after"]
        self._drawn[Construct.AFTER] += "after" in cursors
        self._drawn[Construct.BEFORE] += "before" in cursors
        self._drawn[Construct.BETWEEN] += len(cursors) == 2
        chosen = sizes + [f"{arg}: {self._given(subject_of(arg, connection), field.args[arg])}" for arg in cursors]
        for arg, argument in field.args.items():
            if arg not in ("first", "last", "after", "before") and self._random.random() < 0.5:
                self._drawn[Construct.FILTER] += arg == "filter"
                chosen.append(f"{arg}: {self._given(subject_of(arg), argument)}")
        self._random.shuffle(chosen)
        return Drawn(_joined(chosen), items, None, bool(cursors))

    def _sizes(self, field: GraphQLField, most: int) -> tuple[list[str], int]:
        """`first` or `last`, or neither, or, where that is the fault, both; and how many items come at most."""
        ends = [arg for arg in ("first", "last") if arg in field.args]
        if len(ends) == 2 and self._values.faulty(Construct.ERROR_BOTH_ENDS):
            return [f"first: {self._random.randrange(5)}", f"last: {self._random.randrange(5)}"], 0
        end = self._random.choice(ends)
        if most < DEFAULT_PAGE:
            size = self._random.randint(0, most)
            self._drawn[Construct.FIRST if end == "first" else Construct.LAST] += 1
            return [f"{end}: {size}"], size
        if self._random.random() < 0.3:
            return [], DEFAULT_PAGE
        chosen = [f"{end}: {self._given(end, field.args[end])}"]
        other = "last" if end == "first" else "first"
        if other in ends and self._random.random() < 0.15:
            self._drawn[Construct.NULL_ARGUMENT] += 1
            chosen.append(f"{other}: null")
        return chosen, LONGEST

    def _given(self, subject: str, argument: GraphQLArgument) -> str:
        """A value or a variable."""
        type_ = argument.type
        bare = nullable(type_)
        surrogate = self._values.fault is Construct.ERROR_SURROGATE and subject in TEXTS  # no document can have one
        if surrogate or self._random.random() < 0.35:
            text = self._variables.use(subject, type_, has_default=argument.default_value is not Undefined)
            if isinstance(get_named_type(bare), GraphQLEnumType | GraphQLInputObjectType):
                self._drawn[Construct.FILTER] += subject == "filter"
            return text
        if not required(type_) and self._random.random() < 0.08:
            self._drawn[Construct.NULL_ARGUMENT] += 1
            return "null"
        if isinstance(bare, GraphQLInputObjectType):
            return self._object(bare)
        if isinstance(bare, GraphQLList):
            return self._list(subject, bare)
        return literal(self._values.value(subject, type_), type_)

    def _object(self, type_: GraphQLInputObjectType) -> str:
        members: list[str] = []
        for name, member in type_.fields.items():
            if self._random.random() < 0.25:
                as_argument = GraphQLArgument(member.type, member.default_value)
                given = self._given(subject_of(name), as_argument)
                self._drawn[Construct.VARIABLE_IN_INPUT] += given.startswith("$")
                self._drawn[FILTERS[name]] += given != "null"
                members.append(f"{name}: {given}")
        self._random.shuffle(members)
        self._drawn[Construct.FILTER_EMPTY] += not members
        return "{" + ", ".join(members) + "}"

    def _list(self, subject: str, type_: GraphQLList) -> str:  # type: ignore[type-arg]  # of any input type
        """Items, or one item without brackets, which stands for a list of one."""
        items = [self._item(subject, type_) for _ in range(self._random.choice((0, 1, 1, 2, 2, 3, 4)))]
        if len(items) == 1 and not items[0].startswith("$") and self._random.random() < 0.4:
            self._drawn[Construct.SINGLE_AS_LIST] += 1
            return items[0]
        return "[" + ", ".join(items) + "]"

    def _item(self, subject: str, type_: GraphQLList) -> str:  # type: ignore[type-arg]  # of any input type
        if self._random.random() < 0.2:
            self._drawn[Construct.VARIABLE_IN_LIST] += 1
            return self._variables.use(subject, type_.of_type, has_default=False)
        return literal(self._values.value(subject, type_.of_type), type_.of_type)


def _joined(chosen: list[str]) -> str:
    return f"({', '.join(chosen)})" if chosen else ""
