"""Which media types a client accepts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.transport.negotiation import EVENT_STREAM, GRAPHQL_JSON, JSON, Accepted, accepted

URQL = f"{GRAPHQL_JSON}, application/graphql+json, {JSON}, {EVENT_STREAM}, multipart/mixed"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], Accepted(JSON, stream=False)),
        ([""], Accepted(JSON, stream=False)),
        (["*/*"], Accepted(JSON, stream=False)),
        (["application/*"], Accepted(JSON, stream=False)),
        (["text/plain, */*;q=0.1"], Accepted(JSON, stream=False)),
        ([JSON], Accepted(JSON, stream=False)),
        (["Application/JSON; charset=utf-8"], Accepted(JSON, stream=False)),
        ([GRAPHQL_JSON], Accepted(GRAPHQL_JSON, stream=False)),
        ([f"{GRAPHQL_JSON};charset=utf-8 ; Q=0.2"], Accepted(GRAPHQL_JSON, stream=False)),
        ([f"{GRAPHQL_JSON}, {JSON};q=0.9"], Accepted(GRAPHQL_JSON, stream=False)),
        ([f"{JSON}, {GRAPHQL_JSON}"], Accepted(GRAPHQL_JSON, stream=False)),
        ([JSON, GRAPHQL_JSON], Accepted(GRAPHQL_JSON, stream=False)),
        ([f"{JSON}, {GRAPHQL_JSON};q=0.5"], Accepted(JSON, stream=False)),
        ([f"*/*, {GRAPHQL_JSON};q=0.5"], Accepted(JSON, stream=False)),
        ([f"{JSON};q=much, {GRAPHQL_JSON};q=nan"], Accepted(GRAPHQL_JSON, stream=False)),
        ([EVENT_STREAM], Accepted(None, stream=True)),
        ([f"{EVENT_STREAM}, {JSON};q=0.1"], Accepted(JSON, stream=True)),
        ([f"{EVENT_STREAM};q=0, {JSON}"], Accepted(JSON, stream=False)),
        ([URQL], Accepted(GRAPHQL_JSON, stream=True)),
        (["text/html", "image/*"], Accepted(None, stream=False)),
        ([f"{JSON};q=0, */*"], Accepted(None, stream=False)),
        ([f"{GRAPHQL_JSON};q=0"], Accepted(None, stream=False)),
    ],
)
def test_the_one_that_the_client_prefers_is_found(headers: list[str], expected: Accepted) -> None:
    assert accepted(",".join(headers)) == expected


@pytest.mark.parametrize(
    ("header", "refusal"),
    [
        (JSON, JSON),
        (GRAPHQL_JSON, GRAPHQL_JSON),
        (EVENT_STREAM, GRAPHQL_JSON),
        (f"{EVENT_STREAM}, {JSON}", JSON),
        ("a/b", JSON),
    ],
)
def test_a_refusal_comes_as_one_answer(header: str, refusal: str) -> None:
    assert accepted(header).refusal == refusal


@given(st.lists(st.text(alphabet="apliction/jsn*;q=0.5,- ")))
def test_whatever_a_header_says_is_understood_somehow(headers: list[str]) -> None:
    assert accepted(",".join(headers)).refusal in {JSON, GRAPHQL_JSON}
