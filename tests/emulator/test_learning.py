"""What is trained on is read, and decides how the figures go."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.emulator.clients import conversations
from tests.emulator.dataset import Dataset, Datasets, Malformed, read_jsonl
from tests.emulator.disk import Disk
from tests.emulator.learning import MOST_POINTS, lesson

USER, ASSISTANT, SYSTEM = ({"role": role, "content": "x"} for role in ("user", "assistant", "system"))


@pytest.mark.parametrize(
    ("messages", "wrong"),
    [
        ([USER, ASSISTANT], None),
        ([SYSTEM, USER, ASSISTANT, USER, ASSISTANT], None),
        ([USER], "the last message has to be the assistant's"),
        ([SYSTEM], "the last message has to be the assistant's"),
        ([USER, USER, ASSISTANT], "user and assistant have to alternate"),
        ([USER, SYSTEM, ASSISTANT], "a system message may only come first"),
        ([{"role": "robot", "content": "x"}], "a message needs a role (system, user or assistant) and a content"),
        ([{"role": "user"}], "a message needs a role (system, user or assistant) and a content"),
        ("hello", "messages are needed"),
    ],
)
def test_a_chat_is_checked(tmp_path: Path, messages: object, wrong: str | None) -> None:
    place = tmp_path / "chat.jsonl"
    place.write_bytes(conversations(1) + b"\n" + json.dumps({"messages": messages}).encode())
    if wrong is None:
        assert read_jsonl(place, "/x", "CHAT_COMPLETION").rows == 2
        return
    with pytest.raises(Malformed) as refused:
        read_jsonl(place, "/x", "CHAT_COMPLETION")
    assert str(refused.value) == f"Line 2 of /x: {wrong}"


@pytest.mark.parametrize(
    ("row", "accepted"),
    [({"prompt": "p", "response": "r"}, True), ({"prompt": "p", "completion": "r"}, True), ({"prompt": "p"}, False)],
)
def test_an_instruction_needs_its_answer(tmp_path: Path, row: dict[str, str], *, accepted: bool) -> None:
    place = tmp_path / "instructions.jsonl"
    place.write_text(json.dumps(row))
    if accepted:
        assert read_jsonl(place, "/x", "INSTRUCTION_FINETUNE").rows == 1
        return
    with pytest.raises(Malformed):
        read_jsonl(place, "/x", "INSTRUCTION_FINETUNE")


def test_pretraining_reads_a_folder_of_texts(tmp_path: Path) -> None:
    disk = Disk(tmp_path, frozenset({"main.ft.texts"}))
    datasets = Datasets(disk, {"org/set/train": 7})
    with pytest.raises(Malformed, match=r"Found no \.txt file"):
        datasets.read("dbfs:/Volumes/main/ft/texts", "CONTINUED_PRETRAIN")
    disk.file("/Volumes/main/ft/texts/one.txt").write_text("text" * 10)

    assert datasets.read("dbfs:/Volumes/main/ft/texts", "CONTINUED_PRETRAIN").tokens == 10
    assert datasets.read("org/set/train", "CHAT_COMPLETION").rows == 7
    with pytest.raises(Malformed, match="Could not find the dataset org/other/train"):
        datasets.read("org/other/train", "CHAT_COMPLETION")


@pytest.mark.parametrize(
    ("duration", "epochs", "batches"), [("3ep", 3, 15), ("7ba", 2, 7), ("1_000tok", 2, 10), ("500tok", 1, 5)]
)
def test_a_duration_is_epochs_batches_or_tokens(duration: str, epochs: int, batches: int) -> None:
    course = lesson(Dataset(40, 500, "seed"), duration)

    assert (course.epochs, course.batches) == (epochs, batches)


@pytest.mark.parametrize("duration", ["", "ep", "0ep", "-1ep", "3", "3 ep"])
def test_what_is_no_duration_is_refused(duration: str) -> None:
    with pytest.raises(ValueError, match="is not one such as 3ep"):
        lesson(Dataset(40, 500, "seed"), duration)


@given(rows=st.integers(1, 100_000), epochs=st.integers(1, 50), seed=st.text(max_size=5))
def test_every_epoch_is_told_of_and_the_loss_falls(rows: int, epochs: int, seed: str) -> None:
    course = lesson(Dataset(rows, rows * 30, seed), f"{epochs}ep")
    steps = course.steps()

    assert [step.epoch for step in steps if step.ends_epoch] == list(range(1, epochs + 1))
    assert (steps[-1].batch, steps[-1].done) == (course.batches, 1.0)
    assert [step.batch for step in steps] == sorted({step.batch for step in steps})
    assert len(steps) <= 2 * MOST_POINTS + epochs
    assert course.loss(steps[-1]) < 2.6
    assert course.loss(steps[-1], held_out=True) > course.loss(steps[-1])
