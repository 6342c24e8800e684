"""JSON as it is read from clients and written to them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.execution import json_text
from schema.execution.json_text import MOST_ENTRIES, NotJson, TooManyEntries, decode, encode

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


@pytest.mark.parametrize(
    "text",
    [
        "[" + "[]," * MOST_ENTRIES + "[]]",
        "[" + "1," * MOST_ENTRIES + "1]",
        "[" + '"a,b\\"c",' * MOST_ENTRIES + '""]',
        '{"a":[' + '{"":0},' * (MOST_ENTRIES // 2) + "0]}",
        '"' * (2 * MOST_ENTRIES) + "," * (MOST_ENTRIES + 1),
    ],
    ids=["lists", "numbers", "strings", "objects", "no JSON at all"],
)
def test_a_text_of_too_many_entries_is_refused_before_it_is_decoded(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_text, "DECODER", None)
    with pytest.raises(TooManyEntries, match="more than 250000 lists, objects and entries"):
        decode(text)


def test_what_stands_in_strings_is_no_entry() -> None:
    prose = ['[one, two], {three}, "four", \\', '\\"' * 3] * MOST_ENTRIES
    found = decode(json.dumps([" ".join(prose), prose[:100]]))
    assert found == [" ".join(prose), prose[:100]]


@given(st.recursive(st.text(',[{"\\x'), lambda inner: st.lists(inner) | st.dictionaries(st.text(',[{"\\'), inner)))
def test_entries_are_counted_outside_of_strings_alone(value: object) -> None:
    """Each list, each object, and each further entry of one is one."""

    def entries(part: object) -> int:
        if not isinstance(part, list | dict):
            return 0
        inner = list(part.values()) if isinstance(part, dict) else part
        return 1 + max(len(inner) - 1, 0) + sum(map(entries, inner))

    text = json.dumps(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_text, "MOST_ENTRIES", entries(value))
        assert decode(text) == value
        patch.setattr(json_text, "MOST_ENTRIES", entries(value) - 1)
        if entries(value):
            with pytest.raises(TooManyEntries):
                decode(text)
