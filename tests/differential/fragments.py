"""Drawing fragments, named and inline, and the conditions on them."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from random import Random

from graphql import (
    GraphQLBoolean,
    GraphQLCompositeType,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLSchema,
    GraphQLUnionType,
    is_composite_type,
    is_introspection_type,
)
from graphql.utilities import do_types_overlap

from tests.differential.constructs import Construct
from tests.differential.scopes import Scope, Where
from tests.differential.variables import Variables

FLAG = GraphQLNonNull(GraphQLBoolean)


@dataclass(frozen=True, slots=True)
class Fragment:
    """A named fragment; `spreads` are those in it."""

    name: str
    type: str
    text: str
    scope: Scope
    variables: frozenset[str]
    spreads: frozenset[str]


class Fragments:
    """Draws fragments. `select` draws the selection in one; `spread` are the names of those spread so far."""

    def __init__(
        self,
        schema: GraphQLSchema,
        random: Random,
        variables: Variables,
        drawn: Counter[Construct],
        select: Callable[[Where], str],
    ) -> None:
        self._schema = schema
        self._random = random
        self._variables = variables
        self._drawn = drawn
        self._select = select
        self._within = 0
        self.all: dict[str, Fragment] = {}
        self.spread: set[str] = set()

    def inline(self, at: Where) -> str:
        if self._random.random() < 0.2:
            self._drawn[Construct.INLINE] += 1
            return f"...{self.condition(Construct.CONDITION_ON_INLINE)} {self._select(at)}"
        type_ = self._condition_type(at)
        self._note_condition(type_)
        inner = Where(type_, at.mostly, at.scope, at.depth, at.rows, at.behind_cursor, at.in_list)
        return f"... on {type_.name}{self.condition(Construct.CONDITION_ON_INLINE)} {self._select(inner)}"

    def _note_condition(self, type_: GraphQLCompositeType) -> None:
        match type_:
            case GraphQLInterfaceType():
                self._drawn[Construct.INLINE_INTERFACE] += 1
            case GraphQLUnionType():
                self._drawn[Construct.INLINE_UNION] += 1
            case _:
                self._drawn[Construct.INLINE_CONCRETE] += 1

    def _condition_type(self, at: Where) -> GraphQLCompositeType:
        """A type that a fragment here may be on: mostly the one that the rows have."""
        mostly = self._schema.type_map.get(at.mostly)
        if (
            is_composite_type(mostly)
            and self._random.random() < 0.55
            and do_types_overlap(self._schema, at.type, mostly)
        ):
            return mostly
        possible = [
            type_
            for type_ in self._schema.type_map.values()
            if is_composite_type(type_) and not is_introspection_type(type_)
            if do_types_overlap(self._schema, at.type, type_)
        ]
        return self._random.choice(possible)

    def spread_one(self, at: Where) -> str:
        """A fragment that is there already, or a new one; now and then once skipped, then included."""
        known = [
            fragment
            for fragment in self.all.values()
            if do_types_overlap(self._schema, at.type, self._composite(fragment.type))
            and at.scope.admits_all(fragment.scope)
        ]
        if known and self._within == 0 and self._random.random() < 0.6:
            fragment = self._random.choice(known)
            self._drawn[Construct.FRAGMENT_REPEATED] += fragment.name in self.spread
        else:
            fragment = self._fragment(at)
            if not at.scope.admits_all(fragment.scope):
                return self.inline(at)
        at.scope.take_all(fragment.scope)
        self.spread.add(fragment.name)
        self._variables.used |= fragment.variables
        self._drawn[Construct.FRAGMENT] += 1
        self._drawn[Construct.FRAGMENT_NESTED] += self._within > 0
        spread = f"...{fragment.name}{self.condition(Construct.CONDITION_ON_SPREAD)}"
        if self._random.random() < 0.1:
            self._drawn[Construct.FRAGMENT_SKIPPED_FIRST] += 1
            first = self._random.choice(("@include(if: false)", "@skip(if: true)"))
            return f"...{fragment.name} {first} {spread}"
        return spread

    def _composite(self, name: str) -> GraphQLCompositeType:
        type_ = self._schema.type_map[name]
        assert is_composite_type(type_)
        return type_

    def _fragment(self, at: Where) -> Fragment:
        type_ = self._condition_type(at)
        used, self._variables.used = self._variables.used, set()
        spread, self.spread = self.spread, set()
        self._within += 1
        scope = Scope()
        text = self._select(Where(type_, at.mostly, scope, at.depth + 1, max(at.rows, 20), False, True))
        self._within -= 1
        name = self._random.choice(("F", "Fields", "f", "on_", "nodes")) + str(len(self.all))
        fragment = Fragment(name, type_.name, text, scope, frozenset(self._variables.used), frozenset(self.spread))
        self.all[name] = fragment
        self._variables.used, self.spread = used, spread
        return fragment

    def condition(self, on: Construct) -> str:
        """@skip, @include, both or, mostly, none."""
        text = ""
        for name, literally, by_variable in (
            ("skip", Construct.SKIP_LITERAL, Construct.SKIP_VARIABLE),
            ("include", Construct.INCLUDE_LITERAL, Construct.INCLUDE_VARIABLE),
        ):
            if self._random.random() < 0.05:
                self._drawn[on] += 1
                if self._random.random() < 0.5:
                    self._drawn[literally] += 1
                    flag = str((self._random.random() < 0.3) is (name == "skip")).lower()
                else:
                    self._drawn[by_variable] += 1
                    flag = self._variables.use("flag", FLAG, has_default=False)
                text += f" @{name}(if: {flag})"
        return text


def reachable(fragments: Mapping[str, Fragment], spread: Iterable[str]) -> list[Fragment]:
    """The fragments that are spread somewhere, each once."""
    found: dict[str, Fragment] = {}
    waiting = sorted(spread)
    while waiting:
        fragment = fragments[waiting.pop()]
        if fragment.name not in found:
            found[fragment.name] = fragment
            waiting += sorted(fragment.spreads)
    return list(found.values())
