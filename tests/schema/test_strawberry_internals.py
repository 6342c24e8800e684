"""What is used of Strawberry's internals is there, and does what this program takes it to do.

A failure here after an upgrade means: `schema/strawberry_internals.py` is to be brought up to date.
"""

import json
import threading
from typing import Any

import pytest
import strawberry
from graphql import GraphQLSchema, parse
from graphql.execution.values import VariableValues, get_argument_values, get_variable_values
from strawberry.schema.config import StrawberryConfig
from strawberry.types.arguments import convert_arguments

from schema.api import build, declare
from schema.execution.variables import Variables
from schema.offload import Offload
from schema.strawberry_internals import core_info, core_schema, field_definition, origin
from schema.types import inputs
from schema.types.curation import Sheet
from schema.types.scalars import definitions

JOB = {"trainingSheetId": "ts_1", "modelName": "m", "baseModel": "b"}
PAIR = {"messages": [{"role": "user", "content": "?"}]}


def test_a_schema_leads_to_the_one_of_graphql_core() -> None:
    found = core_schema(declare())
    assert isinstance(found, GraphQLSchema)
    assert "TrainingJob" in found.type_map


def test_types_and_fields_lead_to_what_was_declared(schema: GraphQLSchema) -> None:
    sheet: Any = schema.type_map["Sheet"]
    assert origin(sheet) is Sheet
    definition = field_definition(sheet.fields["createdAt"])
    assert definition is not None
    assert definition.python_name == "created_at"
    assert definition.metadata != {}
    meta: Any = schema.type_map["__Type"]
    assert origin(meta) is None
    assert field_definition(meta.fields["name"]) is None


def test_a_resolver_gets_what_graphql_core_tells() -> None:
    @strawberry.type
    class Query:
        @strawberry.field
        def place(self, info: strawberry.Info) -> str:
            found = core_info(info)
            return f"{found.parent_type}.{found.field_name}"

    assert strawberry.Schema(Query).execute_sync("{place}").data == {"place": "Query.place"}


@pytest.mark.parametrize(
    ("mutation", "given"),
    [
        ("createTrainingJob", JOB),
        ("createTrainingJob", {**JOB, "trainer": "LOCAL", "trainingConfig": {"a": [1]}, "trainValSplit": None}),
        ("createTrainingJob", {**JOB, "clientMutationId": None, "splitSeed": 7, "registerToUc": True}),
        ("addQaPairs", {"trainingSheetId": "ts_1", "pairs": []}),
        ("addQaPairs", {"trainingSheetId": "ts_1", "pairs": [PAIR, {**PAIR, "status": None, "prohibitedUses": []}]}),
        ("addQaPairs", {"trainingSheetId": "ts_1", "pairs": {**PAIR, "messages": PAIR["messages"][0]}}),
        ("reviewQaPairs", {"qaPairIds": ["qa_1"], "status": "LABELED", "allowedUses": ["TRAINING"]}),
        ("createCanonicalLabel", {"sheetId": "s", "itemRef": "i", "labelType": "t", "labelData": {"a": {"b": None}}}),
        ("createSheet", {"name": "n", "source": "EXTERNAL"}),
        ("cancelTrainingJob", {"jobId": "job_1"}),
    ],
)
@pytest.mark.parametrize("literal", [False, True])
def test_an_input_is_what_strawberry_would_make_of_it(mutation: str, given: Any, *, literal: bool) -> None:  # noqa: ANN401
    plain = strawberry.Schema(
        query=declare().query, mutation=declare().mutation, config=StrawberryConfig(scalar_map=definitions())
    )
    made = _arguments(build(), mutation, given, literal=literal)["input"]
    field = core_schema(plain).mutation_type.fields[mutation]  # type: ignore[union-attr]
    definition = field_definition(field)
    assert definition is not None
    sent = _arguments(core_schema(plain), mutation, given, literal=literal)
    with pytest.MonkeyPatch.context() as patch:
        for name in dir(inputs):
            if name.endswith("Input"):
                patch.setattr(getattr(inputs, name).__strawberry_definition__, "from_input", None)
        expected = convert_arguments(sent, definition.arguments, plain.schema_converter.scalar_registry, plain.config)[
            "input"
        ]
    assert type(made) is type(expected)
    assert made == expected
    again = convert_arguments(
        {"input": made}, definition.arguments, plain.schema_converter.scalar_registry, plain.config
    )
    assert again["input"] is made, "Strawberry passes it on as it is"


def _arguments(schema: GraphQLSchema, mutation: str, given: Any, *, literal: bool) -> dict[str, Any]:  # noqa: ANN401
    assert schema.mutation_type is not None
    field = schema.mutation_type.fields[mutation]
    if literal:
        text, values = f"mutation{{{mutation}(input:{_literal(given)}){{__typename}}}}", {}
    else:
        text, values = f"mutation($i:{field.args['input'].type}){{{mutation}(input:$i){{__typename}}}}", {"i": given}
    operation: Any = parse(text).definitions[0]
    coerced = get_variable_values(schema, operation.variable_definitions or (), values)
    assert isinstance(coerced, VariableValues)
    return get_argument_values(field, operation.selection_set.selections[0], coerced)


def _literal(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, dict):
        return "{" + " ".join(f"{name}:{_literal(part)}" for name, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + " ".join(map(_literal, value)) + "]"
    return str(value) if isinstance(value, str) and value.isupper() else json.dumps(value)


async def test_the_objects_of_a_large_input_are_made_beside_the_event_loop(
    schema: GraphQLSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[int] = set()
    kind: Any = schema.type_map["QaPairInput"]
    out_type = kind.out_type

    def noting(members: dict[str, Any]) -> object:
        threads.add(threading.get_ident())
        return out_type(members)

    monkeypatch.setattr(kind, "out_type", noting)
    operation: Any = parse("mutation($i:AddQaPairsInput!){addQaPairs(input:$i){__typename}}").definitions[0]
    given = {"i": {"trainingSheetId": "ts_1", "pairs": [PAIR] * 1_000}}
    await Offload().run(Variables(schema, operation).coerced, given, quick=True)
    assert threads
    assert threading.get_ident() not in threads
