"""Parsing: a tree that ends when it is dropped, and tells places in the text as graphql-core's own does."""

import gc
from typing import Final

import pytest
from graphql import GraphQLError, Node, parse, print_ast, validate
from graphql import GraphQLSchema as Schema

from schema.execution.documents import read
from schema.execution.parsing import parsed

TEXT: Final = """
query Q($first: Int = 2, $skip: Boolean!) { # so many
  a: trainingJobs(first: $first, filter: {status: [FAILED, RUNNING]}) @skip(if: $skip) {
    nodes { ...F ... on Node { id } }
  }
}
fragment F on TrainingJob { id nothing }
"""


def test_the_tree_is_graphql_core_s() -> None:
    ours, theirs = parsed(TEXT), parse(TEXT)
    assert ours == theirs
    assert print_ast(ours) == print_ast(theirs)
    assert ours.token_count == theirs.token_count
    assert _places(ours) == _places(theirs)


def test_errors_tell_where_they_are(schema: Schema) -> None:
    def worded(errors: list[GraphQLError]) -> list[object]:
        return [error.formatted for error in errors]

    errors = worded(validate(schema, parsed(TEXT)))
    assert errors == worded(validate(schema, parse(TEXT)))
    assert errors == [{"message": "Cannot query field 'nothing' on type 'TrainingJob'.", "locations": [_place()]}]


def test_a_tree_that_is_dropped_needs_no_collection_of_cycles() -> None:
    gc.collect()
    gc.disable()
    try:
        tree = parsed(TEXT)
        del tree
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("literal", "entries"),
    [("[%s]", "FAILED "), ("{%s}", "x: 1 "), ("{status: [%s]}", "1 "), ("[%s]", "[] ")],
)
def test_long_values_are_sent_as_variables(literal: str, entries: str) -> None:
    parsed(f"{{ a(b: {literal % (entries * 999)}) }}")
    with pytest.raises(GraphQLError) as refused:
        parsed(f"{{ a(b: {literal % (entries * 1_001)}) }}")
    assert refused.value.formatted == {
        "message": "the document has more than 1,000 entries of lists and objects; send them as variables",
        "extensions": {"code": "TOO_COMPLEX"},
    }


def test_wrong_literals_leave_little_to_collect(schema: Schema) -> None:
    fields = " ".join(f"x{number}: 1" for number in range(3_000))
    gc.collect()
    gc.disable()
    try:
        read(schema, f"{{ trainingJobs(filter: {{{fields}}}) {{ totalCount }} }}")
        assert gc.collect() < 1_000
    finally:
        gc.enable()


def _place() -> dict[str, int]:
    line = next(number for number, text in enumerate(TEXT.split("\n"), 1) if "nothing" in text)
    return {"line": line, "column": TEXT.split("\n")[line - 1].index("nothing") + 1}


def _places(node: Node) -> list[tuple[str, int, int]]:
    assert node.loc is not None
    found = [(node.kind, node.loc.start, node.loc.end)]
    for key in node.keys:
        value = getattr(node, key, None)
        for item in value if isinstance(value, tuple) else [value]:
            if isinstance(item, Node):
                found += _places(item)
    return found
