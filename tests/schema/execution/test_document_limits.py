"""What a document may ask for: useful ones pass, and no refusal takes long, whatever a document is made of."""

import time
from pathlib import Path

import pytest
from graphql import GraphQLSchema, get_introspection_query

from schema.execution.document_limits import DEEPEST, MOST_TOKENS
from schema.execution.documents import Documents, Refusal
from schema.offload import Offload
from tests.schema.conftest import Api

OPERATIONS = Path(__file__).parents[3] / "examples" / "operations.graphql"
SOON = 2.0  # seconds of this process: several times what each takes, and nothing beside what doubling would


async def refusal(schema: GraphQLSchema, text: str) -> tuple[object, str] | None:
    """Code and message with which a new document is refused; None when it is not. It never takes long."""
    found: tuple[object, str] | None = None
    begun = time.process_time()
    try:
        await Documents(schema, Offload()).operation(text, None)
    except Refusal as refused:
        [error, *_] = refused.errors
        found = error.get("extensions", {}).get("code"), error["message"]
    assert time.process_time() - begun < SOON
    return found


def chain(length: int, spreads: int, field: str = "", end: str = "__typename") -> str:
    """Fragments, each of which spreads the next some times."""
    links = (f"fragment F{n} on Query {{ {field} {f'...F{n + 1} ' * spreads} }}" for n in range(length))
    return "{ ...F0 } " + " ".join(links) + f" fragment F{length} on Query {{ {end} }}"


@pytest.mark.parametrize("deep", [False, True])
async def test_the_introspection_of_tools_passes(schema: GraphQLSchema, deep: bool) -> None:  # noqa: FBT001
    query = get_introspection_query(
        specified_by_url=deep,
        directive_is_repeatable=deep,
        schema_description=deep,
        input_value_deprecation=deep,
    )
    assert await refusal(schema, query) is None


async def test_each_example_passes(schema: GraphQLSchema) -> None:
    text = OPERATIONS.read_text(encoding="utf-8")
    documents = Documents(schema, Offload())
    names = [line.split("(")[0].split()[1] for line in text.splitlines() if line.startswith(("query", "mut", "sub"))]
    assert len(names) == 13
    assert [(await documents.operation(text, name)).definition.name.value for name in names] == names  # type: ignore[union-attr]


async def test_a_document_may_ask_about_the_schema_three_times(schema: GraphQLSchema) -> None:
    def asking(times: int) -> str:
        return "{" + " ".join(f"a{number}: __schema {{ queryType {{ name }} }}" for number in range(times)) + "}"

    assert await refusal(schema, asking(3)) is None
    found = await refusal(schema, asking(4))
    assert found == ("TOO_COMPLEX", "the document asks for __schema and __type more than 3 times; ask for less at once")


def nested(levels: int) -> str:
    """A document of so many levels: the last is a field without fields of its own."""
    between = levels - 3
    jobs = "{ trainingJobs(first: 1) { nodes { "
    return jobs + "lineage { job { " * (between // 2) + "__typename" + " } }" * (between // 2) + " } } }"


async def test_a_document_may_be_24_levels_deep(schema: GraphQLSchema) -> None:
    assert DEEPEST == 24
    assert await refusal(schema, nested(23)) is None
    assert await refusal(schema, nested(23).replace("__typename", "metrics { __typename }")) is None
    found = await refusal(schema, nested(25))
    assert found is not None
    assert found[0] == "TOO_COMPLEX"
    assert "more than 24 levels deep" in found[1]


async def test_levels_are_counted_through_fragments_which_are_none_themselves(schema: GraphQLSchema) -> None:
    half = "fragment Half on TrainingJob { " + "lineage { job { " * 5 + "%s" + " } }" * 5 + " }"
    start = "{ trainingJobs(first: 1) { nodes { ... on Node { ... on TrainingJob { ...Half } } } } } "
    whole = start + half % "...Rest" + half.replace("Half", "Rest") % "%s"
    assert await refusal(schema, whole % "__typename") is None
    found = await refusal(schema, whole % "metrics { trainLoss }")
    assert found is None
    found = await refusal(schema, whole % "events { nodes { id } }")
    assert found is not None
    assert found[0] == "TOO_COMPLEX"


async def test_a_document_may_ask_for_5000_fields_wherever_its_fragments_are_spread(schema: GraphQLSchema) -> None:
    fields = " ".join(f"a{number}: id" for number in range(197))

    def with_fields(hundreds: int) -> str:
        """Two hundred fields, so many times: the list, its nodes, the spread and what is in it."""
        lists = " ".join(f"b{number}: trainingJobs {{ nodes {{ ...F }} }}" for number in range(hundreds // 2))
        return f"{{ {lists} }} fragment F on TrainingJob {{ {fields} }}"

    assert await refusal(schema, with_fields(50)) is None
    found = await refusal(schema, with_fields(52))
    assert found is not None
    assert found[0] == "TOO_COMPLEX"
    assert "more than 5000 fields" in found[1]


async def test_a_document_may_ask_for_200_objects_and_lists(schema: GraphQLSchema) -> None:
    def with_places(count: int) -> str:
        """Each list and its nodes are two."""
        lists = " ".join(f"a{number}: trainingJobs {{ nodes {{ id }} }}" for number in range(count // 2))
        return f"{{ {lists} {'trainingJob(id: 1) { id }' * (count % 2)} }}"

    assert await refusal(schema, with_places(200)) is None
    found = await refusal(schema, with_places(201))
    assert found == ("TOO_COMPLEX", "the document asks for more than 200 objects and lists; ask for less at once")


async def test_a_text_may_have_10000_tokens(schema: GraphQLSchema) -> None:
    assert MOST_TOKENS == 10_000

    def with_tokens(count: int) -> str:
        fields = " ".join(f"a{number}: id" for number in range(count // 3 - 3))
        return "{ trainingJobs { nodes { " + fields + " } } }"

    assert await refusal(schema, with_tokens(9_990)) is None
    found = await refusal(schema, with_tokens(10_010))
    assert found is not None
    assert found[1].startswith("Syntax Error: Document contains more than 10000 tokens")


LOUD = {
    "spreads that double": chain(60, 2),
    "spreads that double, with fields": chain(60, 2, "a: node(id: 1) { id }"),
    "spreads a hundred times each": chain(20, 100),
    "one field in many fragments": "{ "
    + " ".join(f"...F{number}" for number in range(100))
    + " } "
    + " ".join(f"fragment F{number} on Query {{ node(id: 1) {{ id }} }}" for number in range(100)),
}
BOMBS = {
    "fields that double": chain(30, 2, end="trainingJobs { " * 10 + "__typename" + " }" * 10),
    "a long chain": chain(1_500, 1),
    "a long chain with fields": chain(800, 1, "a: node(id: 1) { id }"),
    "a long chain of nobody": "{ __typename } " + chain(1_000, 1).removeprefix("{ ...F0 } "),
    "a field again and again": "{ trainingJobs { nodes { " + "id " * 4_900 + "} } }",
    "a field with fields again and again": "{ trainingJobs { nodes { " + "lineage { jobId } " * 2_400 + "} } }",
    "lists again and again": "{ " + "trainingJobs { nodes { id } } " * 1_600 + "}",
    "fields below fields again and again": "{ " + ("trainingJobs { " + "nodes { id } " * 70 + "} ") * 30 + "}",
    "many fragments in one place": "{ trainingJobs { nodes { "
    + " ".join(f"...F{number}" for number in range(600))
    + " } } } "
    + " ".join(f"fragment F{number} on TrainingJob {{ id modelName }}" for number in range(600)),
    "many inline fragments": "{ trainingJobs { nodes { " + "... on TrainingJob { id status } " * 1_600 + "} } }",
    "many operations": " ".join(f"query Q{number} {{ __typename }}" for number in range(2_000)),
    "many operations of one fragment": chain(40, 2).removeprefix("{ ...F0 } ")
    + " ".join(f"query Q{number} {{ ...F0 }}" for number in range(500)),
    "a circle": "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
    "a circle on itself": "{ ...A } fragment A on Query { ...A ...A __typename ...A }",
    "a circle through fields": "{ trainingJobs { nodes { ...A } } } "
    "fragment A on TrainingJob { lineage { job { ...A } } }",
    "a large circle": "{ ...F0 } "
    + " ".join(f"fragment F{number} on Query {{ ...F{(number + 1) % 500} }}" for number in range(500)),
    "spreads of nothing": "{ " + " ".join(f"...F{number}" for number in range(4_000)) + " }",
    "braces": "{ a " * 7_000 + "}" * 7_000,
    "open braces": "{ a " * 7_000,
    "open brackets": "{ trainingJobs(first: " + "[" * 14_000,
    "brackets": "{ trainingJobs(first: " + "[" * 6_000 + "]" * 6_000 + ") { totalCount } }",
    "objects": "{ trainingJobs(filter: " + "{ a: " * 3_000 + "1" + " }" * 3_000 + ") { totalCount } }",
    "inline fragments in inline fragments": "{ " + "... { " * 3_000 + "__typename" + " }" * 3_000 + " }",
    "types of types": "{ __schema { types { " + "fields { type { " * 8 + "name" + " } }" * 8 + " } } }",
    "variables of nothing": "query (" + " ".join(f"$v{number}: Int" for number in range(3_000)) + ") { __typename }",
    "arguments of nothing": "{ trainingJobs("
    + " ".join(f"a{number}: 1" for number in range(3_000))
    + ") { totalCount } }",
    "directives": "{ __typename " + "@skip(if: false) " * 2_000 + "}",
}


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in BOMBS.items()])
async def test_a_document_made_to_hurt_is_refused_at_once(schema: GraphQLSchema, text: str) -> None:
    found = await refusal(schema, text)
    assert found is not None
    assert "recursion" not in found[1]


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in LOUD.items()])
@pytest.mark.database
async def test_a_document_that_only_looks_large_is_answered_at_once(api: Api, text: str) -> None:
    """What it opens over and over is one field in one place."""
    begun = time.process_time()
    data = await api.ask(text)
    assert time.process_time() - begun < SOON
    assert len(data) <= 2
