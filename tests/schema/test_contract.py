"""The API keeps every line of the contract, says what each part means, and is in git as the code has it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    is_introspection_type,
    is_specified_scalar_type,
)
from graphql.utilities import BreakingChangeType as Breaking
from graphql.utilities import DangerousChangeType as Dangerous
from graphql.utilities import find_schema_changes
from graphql.utilities.find_schema_changes import SafeChangeType

from schema import sdl
from schema.api import declare

CONTRACT = Path(__file__).parent / "contract.graphql"
ADDITIONS = {
    SafeChangeType.TYPE_ADDED,
    SafeChangeType.FIELD_ADDED,
    SafeChangeType.OPTIONAL_ARG_ADDED,
    SafeChangeType.OPTIONAL_INPUT_FIELD_ADDED,
    SafeChangeType.DESCRIPTION_CHANGED,
    Dangerous.OPTIONAL_ARG_ADDED,
    Dangerous.OPTIONAL_INPUT_FIELD_ADDED,
    Dangerous.TYPE_ADDED_TO_UNION,
    Dangerous.VALUE_ADDED_TO_ENUM,
    Dangerous.IMPLEMENTED_INTERFACE_ADDED,
}


def broken(contract: str, schema: GraphQLSchema) -> list[str]:
    """What of a contract no longer holds, in words."""
    changes = find_schema_changes(build_schema(contract), schema)
    return [f"{change.type.name}: {change.description}" for change in changes if change.type not in ADDITIONS]


def test_every_line_of_the_contract_holds(schema: GraphQLSchema) -> None:
    assert broken(CONTRACT.read_text(encoding="utf-8"), schema) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "change"),
    [
        ("  isTerminal: Boolean!\n", "  isTerminal: Boolean!\n  gone: Int\n", Breaking.FIELD_REMOVED),
        ("  splitSeed: Int! ", "  splitSeed: Int ", SafeChangeType.FIELD_CHANGED_KIND_SAFE),
        ("  currentEpoch: Int\n", "  currentEpoch: Int!\n", Breaking.FIELD_CHANGED_KIND),
        ("maxPoints: Int = 500", "maxPoints: Int = 501", Dangerous.ARG_DEFAULT_VALUE_CHANGE),
        ("Jobs(first: Int,", "Jobs(first: Int = 9,", Dangerous.ARG_DEFAULT_VALUE_CHANGE),
        ("splitSeed: Int = 0\n", "splitSeed: Int = 1\n", Dangerous.INPUT_FIELD_DEFAULT_VALUE_CHANGE),
        ("enum DataSplit { TRAIN ", "enum DataSplit { TEST TRAIN ", Breaking.VALUE_REMOVED_FROM_ENUM),
        ("SheetResult = Sheet |", "SheetResult = NotFound | Sheet |", Breaking.TYPE_REMOVED_FROM_UNION),
        ("type NotFound implements Problem {", "type NotFound implements Problem { gone: Int", Breaking.FIELD_REMOVED),
    ],
)
def test_a_contract_that_promises_something_else_is_noticed(
    schema: GraphQLSchema, ours: str, theirs: str, change: Breaking | Dangerous | SafeChangeType
) -> None:
    contract = CONTRACT.read_text(encoding="utf-8")
    assert contract.count(ours) == 1
    assert change.name in {line.split(":")[0] for line in broken(contract.replace(ours, theirs), schema)}


def described(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    """The name and the description of all that is ours."""
    for type_ in schema.type_map.values():
        if is_introspection_type(type_) or is_specified_scalar_type(type_):
            continue
        yield type_.name, type_.description
        if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            for name, field in type_.fields.items():
                yield f"{type_.name}.{name}", field.description
                for argument, definition in getattr(field, "args", {}).items():
                    yield f"{type_.name}.{name}({argument})", definition.description
        if isinstance(type_, GraphQLEnumType):
            yield from ((f"{type_.name}.{name}", value.description) for name, value in type_.values.items())


def test_everything_has_a_description(schema: GraphQLSchema) -> None:
    everything = dict(described(schema))
    assert len(everything) > 400
    assert [name for name, description in everything.items() if not (description and description.strip())] == []


def test_descriptions_are_sentences(schema: GraphQLSchema) -> None:
    assert [name for name, description in described(schema) if not (description or "").endswith(".")] == []


def test_the_sdl_in_git_is_what_the_code_says() -> None:
    assert sdl.FILE.read_text(encoding="utf-8") == declare().as_str() + "\n"


def test_the_sdl_is_written_and_a_difference_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "schema.graphql"
    monkeypatch.setattr(sdl, "FILE", file)
    monkeypatch.setattr(sys, "argv", ["sdl", "--check"])
    assert sdl.main() == 1, "there is no file yet"
    monkeypatch.setattr(sys, "argv", ["sdl"])
    assert sdl.main() == 0
    assert file.read_text(encoding="utf-8") == declare().as_str() + "\n"
    monkeypatch.setattr(sys, "argv", ["sdl", "--check"])
    capsys.readouterr()
    assert sdl.main() == 0
    assert capsys.readouterr() == ("", "")
    file.write_text(file.read_text(encoding="utf-8").replace("  trainValSplit: Float!\n", "", 1), encoding="utf-8")
    assert sdl.main() == 1
    assert "+  trainValSplit: Float!\n" in capsys.readouterr().err
