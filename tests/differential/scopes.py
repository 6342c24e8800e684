"""Which response keys are taken at one place of an answer, so that all that is drawn there can be merged."""

from dataclasses import dataclass, field

from graphql import GraphQLCompositeType


@dataclass(frozen=True, slots=True)
class Taken:
    """A field under a response key. `variables` are those in its arguments."""

    parent: str
    abstract: bool
    name: str
    arguments: str
    type: str
    variables: frozenset[str] = frozenset()

    def goes_with(self, other: "Taken") -> bool:
        """Whether both may stand under one key: only fields of types that exclude each other may differ."""
        if self.type != other.type:
            return False
        if self.parent != other.parent and not self.abstract and not other.abstract:
            return True
        return (self.name, self.arguments) == (other.name, other.arguments)


@dataclass(slots=True)
class Scope:
    """One place; `below` are the places under its keys."""

    taken: dict[str, list[Taken]] = field(default_factory=dict)
    below: dict[str, "Scope"] = field(default_factory=dict)

    def admits(self, key: str, wanted: Taken) -> bool:
        return all(wanted.goes_with(there) for there in self.taken.get(key, ()))

    def take(self, key: str, wanted: Taken) -> "Scope":
        """The place below a field that is admitted."""
        there = self.taken.setdefault(key, [])
        if wanted not in there:
            there.append(wanted)
        return self.below.setdefault(key, Scope())

    def admits_all(self, other: "Scope") -> bool:
        """Whether a fragment that was drawn by itself may be spread here."""
        return all(
            self.admits(key, wanted) for key, all_wanted in other.taken.items() for wanted in all_wanted
        ) and all(self.below[key].admits_all(below) for key, below in other.below.items() if key in self.below)

    def take_all(self, other: "Scope") -> None:
        for key, all_wanted in other.taken.items():
            for wanted in all_wanted:
                self.take(key, wanted)
        for key, below in other.below.items():
            self.below.setdefault(key, Scope()).take_all(below)


@dataclass(frozen=True, slots=True)
class Where:
    """Where a selection stands: in which type, which type its rows mostly have, how deep, and on how many rows."""

    type: GraphQLCompositeType
    mostly: str
    scope: Scope
    depth: int = 0
    rows: int = 1
    behind_cursor: bool = False
    in_list: bool = False
