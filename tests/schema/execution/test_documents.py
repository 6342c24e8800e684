"""Documents: read once, kept within bounds, and the one operation that a request names."""

import asyncio
import gc
import threading
import tracemalloc

import pytest
from graphql import GraphQLSchema, OperationType

from schema.execution import documents as documents_module
from schema.execution.document_limits import LONGEST_TEXT
from schema.execution.documents import (
    MOST_ERRORS,
    MOST_KEPT_BYTES,
    TOKEN_BYTES,
    Documents,
    Operation,
    Reading,
    Refusal,
    read,
)
from schema.execution.parsing import parsed
from schema.offload import MOST_WAITING, Offload

TWO = "query A{__typename} mutation B{__typename} fragment F on Query{__typename}".replace("A{", "A{...F ")

FRAGMENT = "fragment %s on TrainingJobConnection{%s}"
TOO_MUCH = [("TOO_COMPLEX", "the document asks for too much in one place; ask for less at once")]


@pytest.fixture
def documents(schema: GraphQLSchema) -> Documents:
    return Documents(schema, Offload())


async def refusal(documents: Documents, text: str, name: str | None = None) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await documents.operation(text, name)
    return refused.value


def padded(text: str, length: int) -> str:
    return text + " " * (length - len(text))


async def test_a_document_is_read_once(documents: Documents) -> None:
    first = await documents.operation("{__typename}", None)
    again = await documents.operation("{__typename}", None)
    assert again.document is first.document
    assert (await documents.operation("{ __typename}", None)).document is not first.document


async def test_a_refusal_is_found_once_and_told_anew(documents: Documents) -> None:
    text = "{nothing}"
    first, again = await refusal(documents, text), await refusal(documents, text)
    assert first is not again
    assert first.errors[0] is again.errors[0]
    assert str(again) == "Cannot query field 'nothing' on type 'Query'."
    again.errors.clear()
    assert (await refusal(documents, text)).errors == first.errors


async def test_a_refusal_keeps_its_words_but_not_its_document(documents: Documents) -> None:
    assert (await refusal(documents, "{nothing}")).errors == [
        {"message": "Cannot query field 'nothing' on type 'Query'.", "locations": [{"line": 1, "column": 2}]}
    ]
    kept = documents._known["{nothing}"].outcome
    assert isinstance(kept, Refusal)
    assert kept.errors == (await refusal(documents, "{nothing}")).errors
    assert await refusal(documents, "{nothing}") is not kept, "a traceback would keep what led to it"


@pytest.fixture
def sized(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a document of so many characters take as many bytes, of which 1,000 may be kept, and half of it in one."""

    def reading(schema: GraphQLSchema, text: str) -> Reading:
        return Reading(read(schema, text).outcome, len(text))

    monkeypatch.setattr(documents_module, "read", reading)
    monkeypatch.setattr(documents_module, "MOST_KEPT_BYTES", 1_000)
    monkeypatch.setattr(documents_module, "LARGEST_KEPT_BYTES", 500)


@pytest.mark.usefixtures("sized")
async def test_the_least_recently_used_document_is_given_up_first(documents: Documents) -> None:
    texts = [padded(f"{{a{number}:__typename}}", 250) for number in range(4)]
    found = [(await documents.operation(text, None)).document for text in texts]
    assert (await documents.operation(texts[0], None)).document is found[0]
    await documents.operation("{__typename}", None)
    assert list(documents._known) == [*texts[2:], texts[0], "{__typename}"]
    assert (await documents.operation(texts[0], None)).document is found[0]
    assert (await documents.operation(texts[1], None)).document is not found[1]


@pytest.mark.usefixtures("sized")
async def test_a_large_document_is_read_anew_each_time(documents: Documents) -> None:
    kept, larger = padded("{__typename}", 500), padded("{__typename}", 501)
    assert (await documents.operation(kept, None)).document is (await documents.operation(kept, None)).document
    assert (await documents.operation(larger, None)).document is not (await documents.operation(larger, None)).document
    await refusal(documents, padded("{nothing}", 501))
    assert list(documents._known) == [kept]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{" + " ".join(f"a{n}:__typename" for n in range(3_300)) + "}", id="aliases"),
        pytest.param("{" + "a " * 150 + "}", id="one letter each"),
        pytest.param("{trainingJobs{nodes{" + "id " * 4_000 + "}}}", id="one field"),
        pytest.param("{trainingJobs(filter:{status:[" + "FAILED " * 900 + "]}){totalCount}}", id="a list"),
    ],
)
def test_the_size_of_a_document_is_what_it_takes_in_memory(schema: GraphQLSchema, text: str) -> None:
    gc.collect()
    tracemalloc.start()
    try:
        document = parsed(text)
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken <= document.token_count * TOKEN_BYTES <= 2 * taken


async def test_what_is_kept_never_exceeds_its_bounds(schema: GraphQLSchema) -> None:
    documents = Documents(schema, Offload())
    for number in range(12):
        await documents.operation("{" + " ".join(f"a{number}_{n}:__typename" for n in range(1_500)) + "}", None)
        assert documents._size_bytes == sum(one.size_bytes for one in documents._known.values()) <= MOST_KEPT_BYTES
    assert 1 < len(documents._known) < 12


async def test_a_document_that_many_ask_for_at_once_is_read_once(
    documents: Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []

    def reading(schema: GraphQLSchema, text: str) -> Reading:
        threads.append(threading.current_thread().name)
        return read(schema, text)

    monkeypatch.setattr(documents_module, "read", reading)
    found = await asyncio.gather(*(documents.operation("{__typename}", None) for _ in range(20)))
    assert len({id(operation.document) for operation in found}) == 1
    assert len(threads) == 1
    assert threads[0] != threading.current_thread().name, "the event loop's"
    assert documents._under_way == {}


async def test_who_gives_up_does_not_take_the_document_from_others(documents: Documents) -> None:
    impatient = asyncio.ensure_future(documents.operation("{__typename}", None))
    other = asyncio.ensure_future(documents.operation("{__typename}", None))
    await asyncio.sleep(0)  # both begin to wait
    impatient.cancel()
    assert (await other).type is OperationType.QUERY
    assert impatient.cancelled()


async def test_documents_that_are_known_wait_for_nobody(documents: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
    await documents.operation("{__typename}", None)
    held = threading.Event()

    def holding(schema: GraphQLSchema, text: str) -> Reading:
        held.wait(10)
        return read(schema, text)

    monkeypatch.setattr(documents_module, "read", holding)
    waiting = asyncio.ensure_future(documents.operation("{a:__typename}", None))
    await asyncio.sleep(0)  # it begins to wait
    assert (await documents.operation("{__typename}", None)).type is OperationType.QUERY
    assert not waiting.done()
    held.set()
    await waiting


async def test_there_is_an_end_to_how_many_documents_may_wait(
    documents: Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = threading.Event()

    def holding(schema: GraphQLSchema, text: str) -> Reading:
        held.wait(10)
        return read(schema, text)

    monkeypatch.setattr(documents_module, "read", holding)
    long = [padded(f"{{a{number}:__typename}}", 5_000) for number in range(MOST_WAITING)]
    waiting = [asyncio.ensure_future(documents.operation(text, None)) for text in long]
    await asyncio.sleep(0)  # their readings are tasks …
    await asyncio.sleep(0)  # … which begin to wait
    [error] = (await refusal(documents, padded("{b:__typename}", 5_000))).errors
    assert error["extensions"] == {"code": "OVERLOADED"}
    monkeypatch.setattr(documents_module, "read", read)
    assert (await documents.operation("{b:__typename}", None)).type is OperationType.QUERY, "short ones pass by"
    held.set()
    assert len(await asyncio.gather(*waiting)) == MOST_WAITING


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{__typename}#" + "x" * LONGEST_TEXT, id="a comment"),
        pytest.param('{node(id:"""' + "x\n" * (LONGEST_TEXT // 2) + '"""){id}}', id="a block string"),
    ],
)
async def test_a_long_text_is_refused_before_it_is_looked_at(
    documents: Documents, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents_module, "read", None)
    [error] = (await refusal(documents, text)).errors
    assert error == {
        "message": f"the document has {len(text):,} characters and may have 100,000; ask for less at once, and send"
        " long values as variables",
        "extensions": {"code": "TOO_LARGE"},
    }
    assert documents._known == {}


async def test_no_error_of_a_document_quotes_without_an_end(documents: Documents) -> None:
    [error] = (await refusal(documents, "{" + "x" * 50_000 + "}")).errors
    assert error["message"] == "Cannot query field '" + "x" * 480 + "…"
    names = " ".join(f"query {'q' * 50}{number}{{__typename}}" for number in range(1_000))
    [error] = (await refusal(documents, names)).errors
    assert len(error["message"]) < 2_000
    assert error["message"].endswith(" and 980 more")


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
async def test_the_operation_of_a_name_is_found(
    documents: Documents, text: str, name: str | None, kind: OperationType
) -> None:
    operation = await documents.operation(text, name)
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
async def test_a_name_that_leads_nowhere_is_refused(
    documents: Documents, text: str, name: str | None, message: str
) -> None:
    assert (await refusal(documents, text, name)).errors == [{"message": message}]


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
async def test_what_is_no_valid_document_is_refused(documents: Documents, text: str, message: str) -> None:
    assert (await refusal(documents, text)).errors[0]["message"].startswith(message)


async def test_only_so_many_errors_are_looked_for(documents: Documents) -> None:
    text = "{" + " ".join(f"nothing{number}" for number in range(100)) + "}"
    errors = (await refusal(documents, text)).errors
    assert len(errors) == MOST_ERRORS + 1
    assert errors[-1]["message"] == "Too many validation errors, error limit reached. Validation aborted."


async def test_many_comments_are_refused(documents: Documents) -> None:
    await documents.operation("#\n" * 4_999 + "{__typename}", None)
    [error] = (await refusal(documents, "#\n" * 5_001 + "{__typename}")).errors
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
async def test_what_validation_would_take_long_for_is_refused_before(
    documents: Documents, text: str, errors: list[tuple[str | None, str]] | None
) -> None:
    if errors is None:
        await documents.operation(text, None)
        return
    found = [
        (error.get("extensions", {}).get("code"), error["message"]) for error in (await refusal(documents, text)).errors
    ]
    assert found == errors
