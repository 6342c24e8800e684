"""What a client's arguments become: parts of a plan's shape, or values bound when the plan runs."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from graphql import (
    FieldNode,
    GraphQLDirective,
    GraphQLError,
    GraphQLField,
    ListValueNode,
    ObjectValueNode,
    Undefined,
    ValueNode,
    VariableNode,
    is_nullable_type,
)
from graphql.execution.values import VariableValues, get_argument_values, get_directive_values
from sqlalchemy import BindParameter, bindparam
from sqlalchemy.types import TypeEngine

from server.domain.caller import Caller
from server.domain.examples import unstorable_text

T = TypeVar("T")


class BadArgument(GraphQLError):
    """A value that the schema's types allow and the field does not."""

    def __init__(self, message: str, node: FieldNode | None = None) -> None:
        super().__init__(message, None if node is None else [node], extensions={"code": "INVALID_ARGUMENT"})


@dataclass(slots=True)
class Request:
    """One execution of an operation: who asks, and with which values. `key` is what the program itself asks for."""

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

    def ask(self, question: Question, *, fixed: bool = False) -> Any:  # noqa: ANN401  (the question's answer)
        """A value that shapes the plan. A `fixed` one follows from the document alone, and is left out of the key."""
        value = question(self._request)
        if not fixed:
            self.asked.append((question, value))
        return value

    def bind(self, fill: Fill, type_: TypeEngine[Any], *, fixed: bool = False) -> BindParameter[Any]:
        """A value that is looked up anew each time the plan runs, but for a `fixed` one."""
        name = f"p{len(self.fills) + 1}"
        if fixed:
            value = fill(self._request)
            self.fills[name] = lambda _: value
        else:
            self.fills[name] = fill
        return bindparam(name, type_=type_)


def plain(value: object) -> Any:  # noqa: ANN401
    """Enum members as their stored words; lists become tuples, so that they can stand in a key."""
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value)
    return getattr(value, "value", value)


def depends_on_variables(value: ValueNode) -> bool:
    """Whether a value differs from request to request."""
    if isinstance(value, ListValueNode):
        return any(map(depends_on_variables, value.values))
    if isinstance(value, ObjectValueNode):
        return any(depends_on_variables(field.value) for field in value.fields)
    return isinstance(value, VariableNode)


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of one field, as its declaration sees them, under GraphQL's names; a path leads into an input."""

    recorder: Recorder
    definition: GraphQLField | None = None
    node: FieldNode | None = None

    def given(self, *path: str) -> bool:
        """Whether a value other than null is there; part of the plan's shape."""
        return bool(self.shape(lambda value: value is not None, *path))

    def literal(self, *path: str) -> Any:  # noqa: ANN401
        """A value from a small closed set, written into the plan."""
        return self.shape(plain, *path)

    def words(self, *path: str) -> tuple[str, ...]:
        """A choice from a small closed set, in whatever order, written into the plan."""
        words: tuple[str, ...] = self.shape(lambda value: tuple(sorted(set(plain(value)))), *path)
        return words

    def shape(self, convert: Callable[[Any], Hashable], *path: str) -> Any:  # noqa: ANN401
        """What `convert` makes of a value; part of the plan's shape. `convert` may raise `BadArgument`."""
        return self.recorder.ask(self._made(convert, path), fixed=self._fixed(path))

    def bind(self, type_: TypeEngine[Any], *path: str, convert: Callable[[Any], object] = plain) -> BindParameter[Any]:
        """A value of the client's, checked, and bound when the plan runs. `convert` may raise `BadArgument`."""
        fill = self._made(lambda value: _storable(convert(value), path), path)
        return self.recorder.bind(fill, type_, fixed=self._fixed(path))

    def key(self, type_: TypeEngine[Any]) -> BindParameter[Any]:
        """What the program, not the client, asks for: the id of what a mutation wrote."""
        return self.recorder.bind(lambda request: request.key, type_)

    def bad(self, message: str) -> BadArgument:
        """An error that points at the field in the document."""
        return BadArgument(message, self.node)

    def _made(self, convert: Callable[[Any], T], path: tuple[str, ...]) -> Callable[[Request], T]:
        read = self._reader(path)

        def made(request: Request) -> T:
            try:
                return convert(read(request))
            except BadArgument as error:
                raise self.bad(error.message) from None

        return made

    def _reader(self, path: tuple[str, ...]) -> Callable[[Request], Any]:
        """How to read a value. Most arguments are a variable alone, and worth what it is worth when it has a value."""
        value = self._value(path)
        if not isinstance(value, VariableNode) or len(path) > 1 or self.definition is None:
            return lambda request: self._read(request, path)
        variable, argument = value.name.value, self.definition.args[path[0]]
        optional = is_nullable_type(argument.type) and argument.default_value is Undefined

        def read(request: Request) -> Any:  # noqa: ANN401
            given = request.variables.coerced.get(variable)
            return given if given is not None or optional else self._read(request, path)

        return read

    def _fixed(self, path: tuple[str, ...]) -> bool:
        """Whether the argument that a path begins with is the same in each request for the document."""
        value = self._value(path)
        return value is None or not depends_on_variables(value)

    def _value(self, path: tuple[str, ...]) -> ValueNode | None:
        given = (self.node.arguments or ()) if self.node is not None else ()
        return next((argument.value for argument in given if argument.name.value == path[0]), None)

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
