"""Drawing selections: fields with their aliases and arguments, fragments and conditions."""

from collections import Counter
from dataclasses import dataclass
from random import Random

from graphql import (
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    is_leaf_type,
)

from tests.differential.arguments import Arguments, Drawn
from tests.differential.constructs import Construct
from tests.differential.fragments import Fragments
from tests.differential.names import response_key
from tests.differential.scopes import Taken, Where
from tests.differential.values import Values
from tests.differential.variables import Variables

DEEPEST = 9
MOST_ROWS = 700  # that all lists of one path may multiply to
COMPUTED = {"eligibility", "baseModels"}
LEADING_TO = {
    Construct.ERROR_POINTS: ("metricHistory", "trainingJob", "job", "nodes", "trainingJobs"),
    Construct.ERROR_RATIO: ("eligibility", "trainingSheet", "nodes", "trainingSheets"),
    Construct.ERROR_BOTH_ENDS: ("events", "trainingJobs", "trainingJob", "job", "nodes"),
    Construct.ERROR_SURROGATE: ("trainingJobs", "modelLineage"),
    Construct.ERROR_NUL: ("trainingJobs", "modelLineage", "metricHistory", "trainingJob"),
}


@dataclass
class Selections:
    """Draws selections for one document."""

    schema: GraphQLSchema
    values: Values
    variables: Variables
    drawn: Counter[Construct]
    left: int = 0

    def __post_init__(self) -> None:
        self.random: Random = self.values.random
        self.fragments = Fragments(self.schema, self.random, self.variables, self.drawn, self.selection)
        self.arguments = Arguments(self.values, self.variables, self.drawn)

    def selection(self, at: Where) -> str:
        """A selection set with at least one field."""
        parts: list[str] = []
        for _ in range(self.random.choice((1, 2, 2, 3, 3, 4, 5, 7))):
            if self.left > 0 or not parts:
                self.left -= 1
                parts.append(self.part(at))
        found = [part for part in parts if part]
        return "{ " + " ".join(found or [self._typename(at)]) + " }"

    def part(self, at: Where) -> str:
        """One field or fragment."""
        chance = self.random.random()
        if chance < 0.06:
            return self._typename(at)
        if self.left > 0 and at.depth < DEEPEST:
            if is_abstract_type(at.type) and chance < 0.75:
                return self.fragments.inline(at)
            if chance < 0.14:
                return self.fragments.inline(at)
            if chance < 0.24:
                return self.fragments.spread_one(at)
            if chance < 0.32:
                return self._again(at)
        return self.field(at)

    def _typename(self, at: Where) -> str:
        wanted = Taken(at.type.name, is_abstract_type(at.type), "__typename", "", "String!")
        keys = [
            "__typename",
            self.random.choice(("t", "kind", "type")),
            f"t{at.depth}",
            f"typename{len(at.scope.taken)}",
        ]
        key = next(key for key in keys[self.random.random() < 0.4 :] if at.scope.admits(key, wanted))
        at.scope.take(key, wanted)
        self.drawn[Construct.ROOT_TYPENAME if at.depth == 0 else Construct.TYPENAME] += 1
        if key == "__typename":
            return "__typename"
        self.drawn[Construct.TYPENAME_ALIASED] += 1
        return f"{key}: __typename"

    def field(self, at: Where, name: str | None = None) -> str:
        """One field of the type, with whatever is to be selected below it."""
        name = name or self._name(at)
        if name is None:
            return self._typename(at)
        assert not isinstance(at.type, GraphQLUnionType)
        definition = at.type.fields[name]
        before, self.variables.used = self.variables.used, set()
        given = self.arguments.draw(name, definition, MOST_ROWS // at.rows)
        here, self.variables.used = self.variables.used, before | self.variables.used
        wanted = Taken(at.type.name, is_abstract_type(at.type), name, given.text, str(definition.type), frozenset(here))
        key = self._key(at, wanted)
        self._note(at, name, wanted)
        return self._written(at, key, wanted, given)

    def _written(self, at: Where, key: str, wanted: Taken, given: Drawn) -> str:
        below = at.scope.take(key, wanted)
        text = (wanted.name if key == wanted.name else f"{key}: {wanted.name}") + wanted.arguments
        text += self.fragments.condition(Construct.CONDITION_ON_FIELD)
        assert not isinstance(at.type, GraphQLUnionType)
        type_ = get_named_type(at.type.fields[wanted.name].type)
        if is_leaf_type(type_):
            return text
        assert is_composite_type(type_)
        is_list = "nodes" in getattr(type_, "fields", {})
        return f"{text} " + self.selection(
            Where(
                type_,
                given.leads_to or type_.name,
                below,
                at.depth + 1,
                at.rows * max(given.items, 1),
                given.behind_cursor,
                at.in_list or is_list,
            )
        )

    def _name(self, at: Where) -> str | None:
        """A field to select; those with fields of their own come more often, as long as there is room for them."""
        if isinstance(at.type, GraphQLUnionType):
            return None
        room = self.left > 0 and at.depth < DEEPEST and at.rows < MOST_ROWS // 2
        names, weights = list[str](), list[float]()
        for name, definition in at.type.fields.items():
            leaf = is_leaf_type(get_named_type(definition.type))
            if leaf or room:
                names.append(name)
                weights.append(1.0 if leaf else 4.0 if name not in COMPUTED else 0.7)
        leading = [name for name in LEADING_TO.get(self.values.fault or Construct.ALIAS, ()) if name in names]
        if leading and self.random.random() < 0.7:
            return leading[0]
        if not names:
            return None
        return self.random.choices(names, weights)[0]

    def _key(self, at: Where, wanted: Taken) -> str:
        """A response key that is free or merges, counted by what is special about it."""
        assert not isinstance(at.type, GraphQLUnionType)
        key, special = response_key(self.random, wanted.name, list(at.type.fields), list(at.scope.taken))
        if not at.scope.admits(key, wanted):
            self.drawn[Construct.SAME_FIELD_TWICE] += any(
                there.name == wanted.name for there in at.scope.taken.get(key, ())
            )
            key, special = f"{wanted.name}{len(at.scope.taken)}", Construct.ALIAS
            while not at.scope.admits(key, wanted):
                key += "_"
        if special is Construct.ALIAS_BY_CASE and key in at.scope.taken:
            special = None
        if special is Construct.ALIAS_LONG and not any(
            there != key and there[:63] == key[:63] for there in at.scope.taken
        ):
            special = Construct.ALIAS
        if key != wanted.name and special is not None:
            self.drawn[special] += 1
        return key

    def _note(self, at: Where, name: str, wanted: Taken) -> None:
        self.drawn[Construct.COMPUTED_BESIDE_COMPILED] += name in COMPUTED and bool(at.scope.taken)
        self.drawn[Construct.TOTAL_WITH_CURSOR] += name == "totalCount" and at.behind_cursor
        self.drawn[Construct.CONNECTION_NESTED] += at.in_list and wanted.type.endswith("Connection!")

    def _again(self, at: Where) -> str:
        """A field that is there already, with the same arguments and other selections below it."""
        choices = [
            (key, there)
            for key, all_there in at.scope.taken.items()
            for there in all_there
            if there.parent == at.type.name and there.name not in ("__typename", *COMPUTED)
        ]
        if not choices:
            return self.field(at)
        key, there = self.random.choice(choices)
        assert not isinstance(at.type, GraphQLUnionType)
        composite = not is_leaf_type(get_named_type(at.type.fields[there.name].type))
        self.drawn[Construct.MERGED] += composite
        self.variables.used |= there.variables
        return self._written(at, key, there, Drawn(there.arguments, 5))
