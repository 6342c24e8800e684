"""What a client's arguments become: parts of a plan's shape, or values bound when the plan runs."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from graphql import FieldNode, GraphQLDirective, GraphQLError, GraphQLField
from graphql.execution.values import VariableValues, get_argument_values, get_directive_values
from sqlalchemy import BindParameter, bindparam
from sqlalchemy.types import TypeEngine

from server.domain.caller import Caller
from server.domain.examples import unstorable_text


class BadArgument(GraphQLError):
    """A value that the schema's types allow and the field does not."""

    def __init__(self, message: str) -> None:
        super().__init__(message, extensions={"code": "INVALID_ARGUMENT"})


@dataclass(slots=True)
class Request:
    """One execution of an operation: who asks, and with which values."""

    caller: Caller
    variables: VariableValues
    key: object = None
    _read: dict[int, dict[str, Any]] = field(default_factory=dict)

    def arguments(self, definition: GraphQLField, node: FieldNode) -> Mapping[str, Any]:
        """The coerced arguments of a field node, defaults included."""
        known = self._read.get(id(node))
        if known is None:
            known = self._read[id(node)] = get_argument_values(definition, node, self.variables)
        return known

    def directive(self, definition: GraphQLDirective, node: Any) -> bool | None:  # noqa: ANN401  (any node with directives)
        """The condition of @skip or @include; None without one."""
        values = get_directive_values(definition, node, self.variables)
        return None if values is None else bool(values["if"])


Question = Callable[[Request], Hashable]
Fill = Callable[[Request], object]


class Recorder:
    """All that a compiler may learn of a request. What it asks becomes the key of the plan, what it binds is filled in.

    So a plan can't depend on a value that its key does not hold.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self.asked: list[tuple[Question, Hashable]] = []
        self.fills: dict[str, Fill] = {}

    def ask(self, question: Question) -> Any:  # noqa: ANN401  (the question's answer)
        """An answer that shapes the plan."""
        answer = question(self._request)
        self.asked.append((question, answer))
        return answer

    def bind(self, fill: Fill, type_: TypeEngine[Any]) -> BindParameter[Any]:
        """A value that is looked up anew each time the plan runs."""
        name = f"p{len(self.fills) + 1}"
        self.fills[name] = fill
        return bindparam(name, type_=type_)


def plain(value: object) -> Any:  # noqa: ANN401
    """Enum members as their stored words; lists become tuples, so that they can stand in a key."""
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value)
    return getattr(value, "value", value)


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of one field, as its declaration sees them, under GraphQL's names; a path leads into an input."""

    recorder: Recorder
    definition: GraphQLField | None = None
    node: FieldNode | None = None

    def given(self, *path: str) -> bool:
        """Whether a value other than null is there; part of the plan's shape."""
        return bool(self.recorder.ask(lambda request: self._read(request, path) is not None))

    def literal(self, *path: str) -> Any:  # noqa: ANN401
        """A value from a small closed set, written into the plan."""
        return self.recorder.ask(lambda request: plain(self._read(request, path)))

    def shape(self, of: Callable[[Any], Hashable], *path: str) -> Any:  # noqa: ANN401
        """What `of` makes of a value; part of the plan's shape. `of` may raise `BadArgument`."""
        return self.recorder.ask(lambda request: of(self._read(request, path)))

    def bind(self, type_: TypeEngine[Any], *path: str, of: Callable[[Any], object] = plain) -> BindParameter[Any]:
        """A value of the client's, checked, and bound when the plan runs. `of` may raise `BadArgument`."""

        def fill(request: Request) -> object:
            return _storable(of(self._read(request, path)), path)

        return self.recorder.bind(fill, type_)

    def key(self, type_: TypeEngine[Any]) -> BindParameter[Any]:
        """What the program, not the client, asks for: the id of what a mutation wrote."""
        return self.recorder.bind(lambda request: request.key, type_)

    def _read(self, request: Request, path: tuple[str, ...]) -> Any:  # noqa: ANN401
        if self.definition is None or self.node is None:
            return None
        value: Any = request.arguments(self.definition, self.node)
        for name in path:
            value = None if value is None else cast("Mapping[str, Any]", value).get(name)
        return value


def _storable(value: object, path: tuple[str, ...]) -> object:
    texts = value if isinstance(value, tuple) else (value,)
    for text in texts:
        if isinstance(text, str) and (reason := unstorable_text(text)):
            raise BadArgument(f"{'.'.join(path)} {reason}")
    return list(value) if isinstance(value, tuple) else value
