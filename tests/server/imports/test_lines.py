"""What a line of an import file may say, and how it is told what is wrong."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.errors import InvalidInput
from server.domain.examples import MAX_CONTENT_CHARACTERS, MAX_MESSAGES, Message
from server.domain.gates import DataUse, PairStatus
from server.imports.lines import Example, Label, parse

FEED = "lines have to end with a line feed: tr '\\r' '\\n' < FILE > FILE.jsonl"
TAKE_OUT = "it is left where files were put together; take it out: perl -pi -e 's/\\xEF\\xBB\\xBF//g' FILE"
ALL = [use.value for use in DataUse]
USES = "use one of training, validation, evaluation, few_shot, testing"
KEYS = "messages, prompt, response, status, allowed_uses, prohibited_uses, item_ref, reviewed_by, canonical_label"
ASKED = '"prompt": "?", "response": "!"'

storable = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
names = storable.filter(lambda text: bool(text.strip()))
uses = st.lists(st.sampled_from(DataUse), unique=True).map(lambda chosen: [use for use in DataUse if use in chosen])
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | storable
data = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(storable, inner, max_size=3), max_leaves=8
).filter(lambda value: value is not None)
cased = st.sampled_from([str.upper, str.lower, str.title])


@st.composite
def written(draw: st.DrawFn) -> tuple[dict[str, object], Example]:
    """A line with every key, and what it says."""
    case = draw(cased)
    messages = draw(
        st.lists(st.builds(Message, st.sampled_from(["system", "user", "assistant"]), storable), min_size=1)
    )
    status = draw(st.sampled_from(PairStatus))
    allowed, prohibited = draw(uses), draw(uses)
    item_ref, reviewer, label_type = draw(names), draw(names), draw(names)
    label_data, label_allowed, label_prohibited = draw(data), draw(uses), draw(uses)
    line: dict[str, object] = {
        "messages": [message._asdict() for message in messages],
        "status": case(status),
        "allowed_uses": [case(use) for use in allowed * 2],
        "prohibited_uses": [case(use) for use in reversed(prohibited)],
        "item_ref": item_ref,
        "reviewed_by": reviewer,
        "canonical_label": {
            "label_type": label_type,
            "label_data": label_data,
            "allowed_uses": [case(use) for use in label_allowed],
            "prohibited_uses": [case(use) for use in label_prohibited],
        },
    }
    compact = json.dumps(label_data, ensure_ascii=False, separators=(",", ":"))
    label = Label(label_type, compact, [*label_allowed], [*label_prohibited])
    return line, Example(messages, status, [*allowed], [*prohibited], item_ref, reviewer, label)


@given(
    said=written(),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 0]),
    end=st.sampled_from([b"", b" ", b"\r\n"]),
)
def test_a_complete_line_is_read_as_written(
    said: tuple[dict[str, object], Example], *, ascii_only: bool, indent: int | None, end: bytes
) -> None:
    line, example = said
    content = json.dumps(line, ensure_ascii=ascii_only, indent=indent).replace("\n", " ").encode()
    assert parse(content + end) == example


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS.split(", ")), inner, max_size=4),
    max_leaves=12,
)


lines = st.binary(max_size=60) | st.dictionaries(st.sampled_from(KEYS.split(", ")), json_like, max_size=5).map(
    lambda line: json.dumps(line).encode()
)


@given(lines)
def test_any_line_is_either_read_or_refused(line: bytes) -> None:
    reason = ""
    try:
        example = parse(line)
    except InvalidInput as refused:
        reason = refused.message
    else:
        assert example.messages
        assert example.label is None or example.item_ref
    assert reason.isprintable()


@pytest.mark.parametrize(
    "line",
    [
        {},
        {key: None for key in KEYS.split(", ") if key not in ("prompt", "response")},
        {"tool_calls": None, "weight": None},
    ],
)
def test_what_is_left_out_or_null_has_its_default(line: dict[str, None]) -> None:
    messages = [Message("user", "?"), Message("assistant", "!")]
    example = parse(json.dumps({"prompt": "?", "response": "!", **line}).encode())
    assert example == Example(messages, PairStatus.UNLABELED, ALL, [], None, None, None)


def test_what_is_null_is_left_out_of_every_object_whatever_its_name() -> None:
    """As exports of chat APIs write their messages."""
    turns = [("user", "Q"), ("assistant", "A")]
    messages = [{"role": role, "content": text, "tool_calls": None, "name": None} for role, text in turns]
    label = {"label_type": "answer", "label_data": 0, "note": None}
    example = parse(json.dumps({"messages": messages, "item_ref": "i", "canonical_label": label}).encode())
    assert example.messages == [Message(*turn) for turn in turns]
    assert example.label == Label("answer", "0", ALL, [])


def test_a_label_that_says_nothing_of_uses_allows_all() -> None:
    line = f'{{{ASKED}, "item_ref": "i", "canonical_label": {{"label_type": "answer", "label_data": 0}}}}'
    assert parse(line.encode()).label == Label("answer", "0", ALL, [])


def test_an_empty_list_of_uses_allows_none() -> None:
    assert parse(f'{{{ASKED}, "allowed_uses": []}}'.encode()).allowed_uses == []


@pytest.mark.parametrize(
    "line",
    [
        '{"prompt": "?", "response": ""}',
        '{"messages": [{"role": "user", "content": ""}]}',
        '{"messages": [{"role": "assistant", "content": "!"}, {"role": "user", "content": "?"}]}',
    ],
)
def test_what_only_training_minds_is_read(line: str) -> None:
    assert parse(line.encode()).messages


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"prompt": "?", ', "not valid JSON: Expecting property name enclosed in double quotes (column 17)"),
        ('{"prompt": "?",\r\n', "not valid JSON: Expecting property name enclosed in double quotes (column 1)"),
        ("nonsense", "not valid JSON: Expecting value (column 1)"),
        (f"{{{ASKED}}} {{}}", "not valid JSON: Extra data (column 34)"),
        ('{"status": NaN}', "NaN is not JSON; leave the value out or use null"),
        ("[1]", "must be a JSON object, not a list"),
        ("null", "must be a JSON object, not null"),
        ("true", "must be a JSON object, not true or false"),
        ('{"prompt": "a", "prompt": "b", "response": "c"}', "the key 'prompt' is given twice in one object"),
        ('{"promt": "?", "response": "!"}', f"unknown key 'promt'; use {KEYS}"),
        (
            f'{{{ASKED}, "status": "lbeled"}}',
            "unknown status 'lbeled'; use one of unlabeled, labeled, rejected, flagged",
        ),
        (f'{{{ASKED}, "status": 1}}', "status: must be a text, not a number"),
        (f'{{{ASKED}, "allowed_uses": "training"}}', "allowed_uses: must be a list, not a text"),
        (f'{{{ASKED}, "allowed_uses": ["trainin"]}}', f"allowed_uses: unknown use 'trainin'; {USES}"),
        (f'{{{ASKED}, "prohibited_uses": [null]}}', "prohibited_uses[0]: must be a text, not null"),
        (f'{{{ASKED}, "item_ref": " "}}', "item_ref: must not be blank"),
        (f'{{{ASKED}, "item_ref": 17}}', "item_ref: must be a text, not a number"),
        (f'{{{ASKED}, "item_ref": "{"x" * 256}"}}', "item_ref: has 256 characters; at most 255 are allowed"),
        (f'{{{ASKED}, "reviewed_by": ""}}', "reviewed_by: must not be blank"),
        ('{"status": "labeled"}', "give messages, or prompt and response"),
        ('{"prompt": "?"}', "response is missing"),
        ('{"response": "!", "prompt": null}', "prompt is missing"),
        (f'{{{ASKED}, "messages": []}}', "give either messages, or prompt and response"),
        ('{"prompt": "\\u0000", "response": "!"}', "prompt: contains a NUL character (U+0000), which can't be stored"),
        (
            '{"prompt": "?", "response": "\\ud83d"}',
            "response: contains a lone surrogate, which is not valid Unicode text",
        ),
        ('{"messages": {}}', "messages: must be a list, not an object"),
        ('{"messages": []}', "messages: needs at least one message"),
        ('{"messages": ["hello"]}', "messages[0]: must be a JSON object, not a text"),
        ('{"messages": [{"role": "user"}]}', "messages[0]: content is missing"),
        ('{"messages": [{"role": "user", "content": null}]}', "messages[0]: content is missing"),
        ('{"messages": [{"role": "user", "content": ["?"]}]}', "messages[0].content: must be a text, not a list"),
        (
            '{"messages": [{"role": "user", "content": "?", "name": "x"}]}',
            "messages[0]: unknown key 'name'; use role, content",
        ),
        (
            '{"messages": [{"role": "assistant", "content": "?", "name": null, "tool_calls": []}]}',
            "messages[0]: unknown key 'tool_calls'; use role, content",
        ),
        (f"\ufeff{{{ASKED}}}", f"not valid JSON: a byte order mark, U+FEFF, at column 1; {TAKE_OUT}"),
        (f"{{{ASKED}}}\ufeff", f"not valid JSON: a byte order mark, U+FEFF, at column 33; {TAKE_OUT}"),
        (
            f"{{{ASKED}}}\r{{{ASKED}}}",
            f"not valid JSON: Extra data (column 34) after a carriage return; {FEED}",
        ),
        (
            '{"messages": [{"role": "User", "content": "?"}]}',
            "messages[0].role: unknown role 'User'; use one of system, user, assistant",
        ),
        (
            f'{{{ASKED}, "canonical_label": {{"label_type": "answer", "label_data": 1}}}}',
            "canonical_label: belongs to an item, so the line needs an item_ref",
        ),
        (f'{{{ASKED}, "canonical_label": "x"}}', "canonical_label: must be a JSON object, not a text"),
        (f'{{{ASKED}, "canonical_label": {{"label_data": 1}}}}', "canonical_label: label_type is missing"),
        (f'{{{ASKED}, "canonical_label": {{"label_type": "a"}}}}', "canonical_label: label_data is missing"),
        (
            f'{{{ASKED}, "canonical_label": {{"label_type": "a", "label_data": null}}}}',
            "canonical_label: label_data is missing",
        ),
        (
            f'{{{ASKED}, "canonical_label": {{"label_type": "a", "label_data": [1e999]}}}}',
            "canonical_label.label_data: contains a number that is not finite, which JSON can't hold",
        ),
        (
            f'{{{ASKED}, "canonical_label": {{"label_type": "a", "data": 1}}}}',
            "canonical_label: unknown key 'data'; use label_type, label_data, allowed_uses, prohibited_uses",
        ),
        (
            f'{{{ASKED}, "canonical_label": {{"label_type": "a", "label_data": 1, "prohibited_uses": ["x"]}}}}',
            f"canonical_label.prohibited_uses: unknown use 'x'; {USES}",
        ),
    ],
)
def test_a_line_that_cannot_be_read_says_why(line: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(line.encode())
    assert refused.value.message == reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param("[" * 100_000, "JSON that is nested too deeply", id="depth"),
        pytest.param('{"status": ' + "9" * 5000 + "}", "JSON with a number that has too many digits", id="digits"),
        pytest.param(
            json.dumps({"prompt": "x" * (MAX_CONTENT_CHARACTERS + 1), "response": "!"}),
            "prompt: has 1,000,001 characters; at most 1,000,000 are allowed",
            id="characters",
        ),
        pytest.param(
            json.dumps({"messages": [{"role": "user", "content": "?"}] * (MAX_MESSAGES + 1)}),
            "messages: has 201 messages; at most 200 are allowed",
            id="messages",
        ),
    ],
)
def test_a_line_past_a_limit_says_which(line: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(line.encode())
    assert refused.value.message == reason


def test_a_line_in_another_encoding_says_where() -> None:
    with pytest.raises(InvalidInput) as refused:
        parse('{"prompt": "Fällig?", "response": "!"}'.encode("latin-1"))
    assert refused.value.message == "not UTF-8 text (byte 0xe4 at position 14)"
