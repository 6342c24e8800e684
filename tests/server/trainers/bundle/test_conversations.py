"""Which part of a conversation is learned."""

import importlib.util
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.trainers.bundle import conversations
from server.trainers.bundle.conversations import IGNORED, Render
from server.trainers.bundle.hyperparameters import BadInput
from server.trainers.bundle.quoted import Message, Span

END = "</s>"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HELLO = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello?"},
    {"role": "assistant", "content": "Hi."},
    {"role": "user", "content": "Bye?"},
    {"role": "assistant", "content": "So long."},
]


def turn(message: Message) -> str:
    return f"{message['role']}: {message['content']}{END if message['role'] == 'assistant' else ''}\n"


def plain(messages: Sequence[Message], asks: bool) -> str:  # noqa: FBT001
    """What the template for those without one writes."""
    return "".join(map(turn, messages)) + ("assistant:" if asks else "")


def forgetful(messages: Sequence[Message], asks: bool) -> str:  # noqa: FBT001
    """Like the templates that leave the thoughts of earlier turns out."""
    last = len(messages) - 1
    thoughts = [
        "<think>" if message["role"] == "assistant" and index == last else "" for index, message in enumerate(messages)
    ]
    turns = [f"{thought}{turn(message)}" for thought, message in zip(thoughts, messages, strict=True)]
    return "".join(turns) + ("<think>assistant:" if asks else "")


def characters(text: str, _as_text: bool) -> tuple[list[int], list[Span]]:  # noqa: FBT001
    return [ord(letter) for letter in text], [(index, index + 1) for index in range(len(text))]


def words(text: str, _as_text: bool) -> tuple[list[int], list[Span]]:  # noqa: FBT001
    """Words with the space before them, as byte-pair encodings have them."""
    found = list(re.finditer(r"\s?\S+|\s", text))
    return list(range(len(found))), [match.span() for match in found]


def learned(text: str, spans: Sequence[Span]) -> list[str]:
    return [text[start:end] for start, end in spans]


def test_each_answer_is_learned_with_the_end_of_its_turn_and_nothing_else() -> None:
    text, spans = conversations.spans(HELLO, plain)
    assert learned(text, spans) == [f" Hi.{END}\n", f" So long.{END}\n"]


def test_with_a_template_that_rewrites_earlier_turns_the_last_answer_is_learned() -> None:
    text, spans = conversations.spans(HELLO, forgetful)
    assert learned(text, spans) == [f" So long.{END}\n"]


def test_tokens_that_are_only_read_have_no_label() -> None:
    example = conversations.encode(HELLO, plain, characters, 1000)
    assert example is not None
    assert "".join(map(chr, example.input_ids)) == plain(HELLO, False)
    assert "".join(chr(label) for label in example.labels if label != IGNORED) == f" Hi.{END}\n So long.{END}\n"


def test_a_token_that_is_partly_of_the_answer_is_learned() -> None:
    example = conversations.encode(
        HELLO[1:3], lambda messages, asks: plain(messages, asks).replace(": ", ":"), words, 99
    )
    assert example is not None
    assert example.labels[0] == IGNORED
    assert example.input_ids[1:] == example.labels[1:]


@pytest.mark.parametrize(("most", "left"), [(1000, True), (42, True), (41, False), (8, False)])
def test_a_conversation_of_which_no_answer_is_left_is_no_example(most: int, *, left: bool) -> None:
    assert len(plain(HELLO[:2], True)) == 41
    example = conversations.encode(HELLO, plain, characters, most)
    assert (example is not None) is left
    assert example is None or len(example.input_ids) == len(example.labels) <= most


def template(source: str) -> Render:
    """A chat template as transformers runs it."""
    sandbox = pytest.importorskip("jinja2.sandbox", reason="make test-llm installs it")
    written = sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    written.globals["strftime_now"] = NOON.strftime
    compiled = written.from_string(source)
    return lambda messages, asks: str(
        compiled.render(messages=messages, add_generation_prompt=asks, bos_token="<s>", eos_token=END)  # noqa: S106
    )


@pytest.mark.llm
@pytest.mark.parametrize("asks", [False, True])
def test_the_template_for_those_without_one_writes_what_is_learned_here(*, asks: bool) -> None:
    assert template(conversations.PLAIN_TEMPLATE)(HELLO, asks) == plain(HELLO, asks)


@pytest.mark.llm
@pytest.mark.parametrize(
    ("name", "answers"),
    [
        ("llama3_1", ["Hi.<|eot_id|>", "So long.<|eot_id|>"]),
        ("qwen2_5", ["Hi.<|im_end|>\n", "So long.<|im_end|>\n"]),
        ("qwen3", ["<think>\n\n</think>\n\nSo long.<|im_end|>\n"]),
        ("gemma", ["Hi.<end_of_turn>\n", "So long.<end_of_turn>\n"]),
        ("phi3", [f"So long.<|end|>\n{END}"]),
    ],
)
def test_with_the_templates_of_well_known_models_just_answers_are_learned(name: str, answers: list[str]) -> None:
    found = importlib.util.find_spec("trl")
    if found is None or found.submodule_search_locations is None:
        pytest.skip("make test-llm installs the templates, with TRL")
    source = Path(found.submodule_search_locations[0], "chat_templates", f"{name}.jinja").read_text(encoding="utf-8")
    text, spans = conversations.spans(HELLO[1:], template(source))
    assert learned(text, spans) == answers


ROUNDS = st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), min_size=1, max_size=5)


@given(rounds=ROUNDS, system=st.booleans())
def test_whatever_is_said_just_the_answers_are_learned(*, rounds: list[tuple[str, str]], system: bool) -> None:
    messages: list[Message] = [{"role": "system", "content": "user: x"}] if system else []
    for question, answer in rounds:
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    text, spans = conversations.spans(messages, plain)
    assert learned(text, spans) == [f" {answer}{END}\n" for _, answer in rounds]


def test_a_file_is_read_line_by_line_and_empty_ones_are_passed_over(tmp_path: Path) -> None:
    line = '{"messages": [{"role": "user", "content": "é?"}, {"role": "assistant", "content": "\u2028"}], "id": 1}'
    (tmp_path / "train.jsonl").write_text(f"\n{line}\n\n{line}", encoding="utf-8")
    wanted = [{"role": "user", "content": "é?"}, {"role": "assistant", "content": "\u2028"}]
    assert conversations.read(tmp_path / "train.jsonl") == [wanted, wanted]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "train.jsonl, line 2: not JSON: "),
        ("[]", "train.jsonl, line 2: there must be an object with a list of messages"),
        ('{"messages": []}', "train.jsonl, line 2: there must be an object with a list of messages"),
        ('{"prompt": "a", "response": "b"}', "train.jsonl, line 2: there must be an object with a list of messages"),
        (
            '{"messages": ["Hello"]}',
            "train.jsonl, line 2: each message must have a role: assistant, system, tool, user",
        ),
        ('{"messages": [{"role": "me"}]}', "train.jsonl, line 2: each message must have a role: "),
        ('{"messages": [{"role": "user"}]}', "train.jsonl, line 2: each message must have a text as its content"),
        (
            '{"messages": [{"role": "user", "content": "Hello?"}]}',
            "train.jsonl, line 2: the last message must be the assistant's",
        ),
    ],
)
def test_a_line_that_can_not_be_learned_is_named(tmp_path: Path, line: str, message: str) -> None:
    good = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'
    (tmp_path / "train.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(BadInput) as refusal:
        conversations.read(tmp_path / "train.jsonl")
    assert str(refusal.value).startswith(message)
    assert refusal.value.code == "BAD_DATA"


def test_a_file_with_nothing_in_it_and_one_that_is_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n \n")
    with pytest.raises(BadInput, match="there is no conversation in ") as refusal:
        conversations.read(tmp_path / "empty.jsonl")
    assert refusal.value.code == "NO_DATA"
    with pytest.raises(BadInput, match=r"missing.jsonl can't be read: No such file or directory"):
        conversations.read(tmp_path / "missing.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"messages": "\xe9"}')
    with pytest.raises(BadInput, match=r"latin.jsonl can't be read: "):
        conversations.read(tmp_path / "latin.jsonl")
