"""What is wrong with the arguments of an operation, found before anything is read."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLIncludeDirective,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    GraphQLSkipDirective,
    InlineFragmentNode,
    ListValueNode,
    NamedTypeNode,
    ObjectValueNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    is_abstract_type,
    is_non_null_type,
    is_object_type,
)
from graphql.execution.values import VariableValues, get_argument_values, get_directive_values

from server.domain.examples import unstorable_text
from tests.oracle.loading import Session

Info: TypeAlias = GraphQLResolveInfo[Session]
Arguments: TypeAlias = Mapping[str, Any]
LARGEST_PAGE = 100
CHECK: Final = "check"


class BadArgument(GraphQLError):
    """A value that its type allows and its field does not."""

    def __init__(self, message: str, node: FieldNode | None = None) -> None:
        super().__init__(message, None if node is None else [node], extensions={"code": "INVALID_ARGUMENT"})


@dataclass(frozen=True, slots=True)
class Check:
    """What a field refuses: functions that raise `BadArgument`. `texts` are by argument, for values other than null.

    `type_of` says which object type a field of an interface will find, if any.
    """

    numbers: Callable[[Arguments], object] | None = None
    texts: Mapping[str, Callable[[Any], object]] = field(default_factory=dict)
    type_of: Callable[[Arguments], str | None] | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """A field of a selection with its arguments."""

    check: Check
    node: FieldNode
    arguments: Arguments

    def refuse_fixed(self) -> None:
        """Raise for a bad number, or for a bad text that stands in the document."""
        if self.check.numbers is not None:
            self._refuse(self.check.numbers, self.arguments)
        self._refuse_texts(self.check.texts.keys() - self._varying())

    def refuse_varying(self) -> None:
        """Raise for a bad text that came in a variable."""
        self._refuse_texts(self._varying())

    def _varying(self) -> set[str]:
        given = self.node.arguments or ()
        return {argument.name.value for argument in given if _depends_on_variables(argument.value)}

    def _refuse_texts(self, names: AbstractSet[str]) -> None:
        for name, check in self.check.texts.items():
            if name in names and self.arguments.get(name) is not None:
                self._refuse(check, self.arguments[name])

    def _refuse(self, check: Callable[[Any], object], value: object) -> None:
        """Raise with the place of the field in the document."""
        try:
            check(value)
        except BadArgument as error:
            raise BadArgument(error.message, self.node) from None


def page_size(name: str, value: int | None) -> int | None:
    """How many items an argument asks for. Raises `BadArgument` when it is negative."""
    if value is None:
        return None
    if value < 0:
        raise BadArgument(f"{name} must not be negative")
    return min(value, LARGEST_PAGE)


def refuse_unstorable(name: str, value: str) -> None:
    """Raise `BadArgument` for a text that no row can hold."""
    if reason := unstorable_text(value):
        raise BadArgument(f"{name} {reason}")


def plain_id(value: str) -> str:
    """An id to look up; one with any but printable ASCII characters names nothing."""
    return value if value.isascii() and value.isprintable() else ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A root field with a bad argument in its selection."""

    error: GraphQLError
    nodes: Sequence[FieldNode]
    nullable: bool


class Selections:
    """What an operation asks for with the values of its variables, field by field, in document order.

    Merged fields stand where the first of them does.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: VariableValues,
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._variables = variables

    def refused(self, root: GraphQLObjectType, selections: SelectionSetNode) -> dict[str, Refused]:
        """The root fields with a bad argument, by response key, each with the first. Texts in variables come last."""
        found: dict[str, Refused] = {}
        for key, nodes in self._merged(root, (selections,)).items():
            definition = root.fields.get(nodes[0].name.value)
            if definition is None:
                continue
            try:
                self._refuse_bad(definition, nodes)
            except GraphQLError as error:
                found[key] = Refused(error, nodes, not is_non_null_type(definition.type))
        return found

    def _refuse_bad(self, definition: GraphQLField, nodes: Sequence[FieldNode]) -> None:
        found: list[Checked] = []
        for checked in self._field(definition, nodes):
            checked.refuse_fixed()
            found.append(checked)
        for checked in found:
            checked.refuse_varying()

    def _field(self, definition: GraphQLField, nodes: Sequence[FieldNode]) -> Iterator[Checked]:
        check: Check | None = definition.extensions.get(CHECK)
        type_ = get_named_type(definition.type)
        if check is not None and nodes[0].arguments:
            arguments = get_argument_values(definition, nodes[0], self._variables)
            yield Checked(check, nodes[0], arguments)
            if check.type_of is not None:
                name = check.type_of(arguments)
                if name is None:
                    return
                type_ = self._schema.type_map[name]
        if is_object_type(type_):
            for same in self._merged(type_, (node.selection_set for node in nodes)).values():
                inner = type_.fields.get(same[0].name.value)  # none for __typename
                if inner is not None:
                    yield from self._field(inner, same)

    def _merged(
        self, type_: GraphQLObjectType, sets: Iterable[SelectionSetNode | None]
    ) -> Mapping[str, Sequence[FieldNode]]:
        merged: dict[str, list[FieldNode]] = {}
        for node in self._below(type_, sets, set()):
            merged.setdefault((node.alias or node.name).value, []).append(node)
        return merged

    def _below(
        self, type_: GraphQLObjectType, sets: Iterable[SelectionSetNode | None], spread: set[str]
    ) -> Iterator[FieldNode]:
        """The fields of selection sets that have arguments or a selection, those of fragments among them."""
        for selections in sets:
            for node in selections.selections if selections else ():
                if node.directives and not self._included(node):
                    continue
                if not isinstance(node, FieldNode):
                    yield from self._of_fragment(type_, node, spread)
                elif node.arguments or node.selection_set:
                    yield node

    def _of_fragment(self, type_: GraphQLObjectType, node: SelectionNode, spread: set[str]) -> Iterator[FieldNode]:
        fragment: InlineFragmentNode | FragmentDefinitionNode
        if isinstance(node, FragmentSpreadNode):
            if node.name.value in spread:
                return
            spread.add(node.name.value)
            fragment = self._fragments[node.name.value]
        else:
            fragment = cast("InlineFragmentNode", node)
        if self._applies(fragment.type_condition, type_):
            yield from self._below(type_, (fragment.selection_set,), spread)

    def _included(self, node: SelectionNode) -> bool:
        skip = get_directive_values(GraphQLSkipDirective, node, self._variables)
        include = get_directive_values(GraphQLIncludeDirective, node, self._variables)
        return not (skip is not None and skip["if"]) and not (include is not None and not include["if"])

    def _applies(self, condition: NamedTypeNode | None, type_: GraphQLObjectType) -> bool:
        if condition is None or condition.name.value == type_.name:
            return True
        named = self._schema.get_type(condition.name.value)
        return named is not None and is_abstract_type(named) and self._schema.is_sub_type(named, type_)


def _depends_on_variables(value: ValueNode) -> bool:
    match value:
        case VariableNode():
            return True
        case ListValueNode(values=values):
            return any(map(_depends_on_variables, values))
        case ObjectValueNode(fields=fields):
            return any(_depends_on_variables(member.value) for member in fields)
    return False
