"""Documents: read once, kept within bounds, and the one operation that a request names."""

import pytest
from graphql import GraphQLSchema, OperationType
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.execution.documents import LONGEST_KEPT, MOST_ERRORS, MOST_KEPT, Documents, Operation, Refusal

TWO = "query A{__typename} mutation B{__typename} fragment F on Query{__typename}".replace("A{", "A{...F ")

FRAGMENT = "fragment %s on TrainingJobConnection{%s}"
TOO_MUCH = [("TOO_COMPLEX", "the document asks for too much in one place; ask for less at once")]


@pytest.fixture
def documents(schema: GraphQLSchema) -> Documents:
    return Documents(schema)


def refusal(documents: Documents, text: str, name: str | None = None) -> Refusal:
    with pytest.raises(Refusal) as refused:
        documents.operation(text, name)
    return refused.value


def padded(text: str, length: int) -> str:
    return text + " " * (length - len(text))


def test_a_document_is_read_once(documents: Documents) -> None:
    first = documents.operation("{__typename}", None)
    again = documents.operation("{__typename}", None)
    assert again.document is first.document
    assert documents.operation("{ __typename}", None).document is not first.document


def test_a_refusal_is_found_once_and_told_anew(documents: Documents) -> None:
    text = "{nothing}"
    first, again = refusal(documents, text), refusal(documents, text)
    assert first is not again
    assert first.errors[0] is again.errors[0]
    assert str(again) == "Cannot query field 'nothing' on type 'Query'."
    again.errors.clear()
    assert refusal(documents, text).errors == first.errors


def test_a_refusal_keeps_its_words_but_not_its_document(documents: Documents) -> None:
    assert refusal(documents, "{nothing}").errors == [
        {"message": "Cannot query field 'nothing' on type 'Query'.", "locations": [{"line": 1, "column": 2}]}
    ]
    kept = documents._known["{nothing}"]
    assert isinstance(kept, Refusal)
    assert kept.errors == refusal(documents, "{nothing}").errors
    assert refusal(documents, "{nothing}") is not kept, "a traceback would keep what led to it"


def test_the_least_recently_used_document_is_given_up_first(documents: Documents) -> None:
    texts = [padded(f"{{a{number}:__typename}}", LONGEST_KEPT) for number in range(MOST_KEPT // LONGEST_KEPT)]
    found = [documents.operation(text, None).document for text in texts]
    assert documents.operation(texts[0], None).document is found[0]
    documents.operation("{__typename}", None)
    assert list(documents._known) == [*texts[2:], texts[0], "{__typename}"]
    assert documents.operation(texts[0], None).document is found[0]
    assert documents.operation(texts[1], None).document is not found[1]


def test_a_long_document_is_read_anew_each_time(documents: Documents) -> None:
    kept, longer = padded("{__typename}", LONGEST_KEPT), padded("{__typename}", LONGEST_KEPT + 1)
    assert documents.operation(kept, None).document is documents.operation(kept, None).document
    assert documents.operation(longer, None).document is not documents.operation(longer, None).document
    refusal(documents, padded("{nothing}", LONGEST_KEPT + 1))
    assert list(documents._known) == [kept]


@settings(max_examples=25)
@given(lengths=st.lists(st.integers(0, LONGEST_KEPT + 10), max_size=40))
def test_what_is_kept_never_exceeds_its_bounds(schema: GraphQLSchema, lengths: list[int]) -> None:
    documents = Documents(schema)
    for length in lengths:
        refusal(documents, "x" * length)
        assert documents._size == sum(map(len, documents._known)) <= MOST_KEPT
    assert all(len(text) <= LONGEST_KEPT for text in documents._known)


@pytest.mark.parametrize(
    ("text", "name", "kind"),
    [
        ("{__typename}", None, OperationType.QUERY),
        ("query A{__typename}", None, OperationType.QUERY),
        ("query A{__typename}", "A", OperationType.QUERY),
        (TWO, "A", OperationType.QUERY),
        (TWO, "B", OperationType.MUTATION),
        ("subscription S{trainingJobsUpdated{id}}", None, OperationType.SUBSCRIPTION),
    ],
)
def test_the_operation_of_a_name_is_found(
    documents: Documents, text: str, name: str | None, kind: OperationType
) -> None:
    operation = documents.operation(text, name)
    assert isinstance(operation, Operation)
    assert operation.type is kind
    assert name is None or operation.definition.name is not None
    assert operation.definition in operation.document.definitions


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (TWO, None, "the document has several operations; name one of them in operationName: A, B"),
        (TWO, "C", "the document has no operation called 'C'; it has A, B"),
        (TWO, "", "the document has no operation called ''; it has A, B"),
        (TWO, "F", "the document has no operation called 'F'; it has A, B"),
        ("{__typename}", "A", "the document has no operation called 'A'; it has (unnamed)"),
        ("{__typename}", "ü\n\ud800", "the document has no operation called '\\xfc\\n\\ud800'; it has (unnamed)"),
        ("{__typename}", "x" * 200, f"the document has no operation called '{'x' * 100}'; it has (unnamed)"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(documents: Documents, text: str, name: str | None, message: str) -> None:
    assert refusal(documents, text, name).errors == [{"message": message}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Syntax Error: Unexpected <EOF>."),
        ("   # nothing", "Syntax Error: Unexpected <EOF>."),
        ("type A {a: Int}", "The 'A' definition is not executable."),
        ("fragment F on Query {__typename}", "Fragment 'F' is never used."),
        ("{__typename} query A{__typename}", "This anonymous operation must be the only defined operation."),
        ("query A{__typename} query A{__typename}", "There can be only one operation named 'A'."),
        ("subscription{trainingJobsUpdated{id} a:trainingJobsUpdated{id}}", "Anonymous Subscription must select only"),
        ("subscription{__typename}", "Anonymous Subscription must not select an introspection top level field."),
        ('{__type(name:"\ud800"){name}}', "Syntax Error: Invalid character within String: U+D800."),
        ("{\x00}", "Syntax Error: Unexpected character: U+0000."),
    ],
)
def test_what_is_no_valid_document_is_refused(documents: Documents, text: str, message: str) -> None:
    assert refusal(documents, text).errors[0]["message"].startswith(message)


def test_only_so_many_errors_are_looked_for(documents: Documents) -> None:
    text = "{" + " ".join(f"nothing{number}" for number in range(100)) + "}"
    errors = refusal(documents, text).errors
    assert len(errors) == MOST_ERRORS + 1
    assert errors[-1]["message"] == "Too many validation errors, error limit reached. Validation aborted."


def test_many_comments_are_refused(documents: Documents) -> None:
    documents.operation("#\n" * 4_999 + "{__typename}", None)
    [error] = refusal(documents, "#\n" * 5_001 + "{__typename}").errors
    assert error["message"].startswith("Syntax Error: Document contains more than 5000 comments.")


JOBS = "{trainingJobs{%s}}"


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        pytest.param(JOBS % ("totalCount " * 200), None, id="a field 200 times"),
        pytest.param(JOBS % ("totalCount " * 202), TOO_MUCH, id="a field 202 times"),
        pytest.param("{__typename}" + FRAGMENT % ("F", "totalCount " * 202), TOO_MUCH, id="in a fragment of nobody"),
        pytest.param(
            JOBS % " ".join(f"...F{n}" for n in range(202))
            + "".join(FRAGMENT % (f"F{n}", f"a{n}:totalCount") for n in range(202)),
            TOO_MUCH,
            id="202 fragments with fields of their own",
        ),
        pytest.param(
            JOBS % "nodes{...F}" + "fragment F on TrainingJob{lineage{job{...F}}}",
            [(None, "Cannot spread fragment 'F' within itself.")],
            id="a fragment within itself",
        ),
    ],
)
def test_what_validation_would_take_long_for_is_refused_before(
    documents: Documents, text: str, errors: list[tuple[str | None, str]] | None
) -> None:
    if errors is None:
        documents.operation(text, None)
        return
    found = [(error.get("extensions", {}).get("code"), error["message"]) for error in refusal(documents, text).errors]
    assert found == errors
