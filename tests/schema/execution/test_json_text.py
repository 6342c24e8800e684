"""JSON as it is read from clients and written to them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.execution.json_text import NotJson, decode, encode

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=10,
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{} {}",
        "{'a': 1}",
        "NaN",
        "[Infinity]",
        '{"a": -Infinity}',
        "1e999",
        "-1e400",
        "9" * 5000,
        "[" * 100_000,
        '{"a":' * 100_000,
        b"\xff",
        b'"\xed\xa0\x80"',
        "\ufeff{}",
    ],
)
def test_what_is_no_json_of_any_use_is_refused(text: str | bytes) -> None:
    with pytest.raises(NotJson):
        decode(text)


@given(VALUES)
def test_what_is_written_is_read_again(value: object) -> None:
    assert decode(encode(value)) == value
    assert decode(encode(value).decode()) == value


@given(st.binary() | st.text())
def test_whatever_comes_is_read_or_refused(text: str | bytes) -> None:
    try:
        value = decode(text)
    except NotJson:
        return
    assert json.loads(text) == value


@given(st.text(st.characters()))
def test_every_text_can_be_written_even_half_a_character(text: str) -> None:
    assert decode(encode({text: text})) == {text: text}


def test_half_a_character_is_written_as_its_escape() -> None:
    assert encode({"\ud800ä": "\udfff🦓"}) == '{"\\ud800ä":"\\udfff🦓"}'.encode()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_does_not_know_is_never_written(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode([number])
