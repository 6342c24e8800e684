"""The program, as far as it goes without the libraries that train."""

import json
import sys
from pathlib import Path

import pytest

from server.trainers.bundle import train
from server.trainers.bundle.hyperparameters import BadInput, Request

LINE = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'


@pytest.fixture(autouse=True)
def _no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_RUN_ID", "HYPERPARAMETERS_PATH", "RANK"):
        monkeypatch.delenv(name, raising=False)


def hyperparameters(folder: Path, **changed: object) -> Path:
    path = folder / "hyperparameters.yaml"
    path.write_text(json.dumps({"base_model": "/nowhere", "train_file": "train.jsonl"} | changed))
    return path


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines()[-1]


def test_without_hyperparameters_it_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main([]) == train.REFUSED
    assert last_line(capsys) == (
        "train.py: BAD_HYPERPARAMETERS: there are no hyper-parameters: name a file, or set HYPERPARAMETERS_PATH"
    )


def test_hyperparameters_are_found_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HYPERPARAMETERS_PATH", str(hyperparameters(tmp_path, config={"epochs": 0})))
    assert train.main([]) == train.REFUSED
    assert last_line(capsys) == (
        "train.py: BAD_HYPERPARAMETERS: config.epochs must be a whole number from 1 to 1000; it is 0"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "NO_DATA: there is no conversation in {folder}/train.jsonl"),
        ("{}", "BAD_DATA: train.jsonl, line 1: there must be an object with a list of messages"),
        (None, "BAD_DATA: {folder}/train.jsonl can't be read: No such file or directory"),
    ],
)
def test_bad_data_is_refused_before_a_library_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "train.jsonl").write_text(content)
    assert train.main([str(hyperparameters(tmp_path))]) == train.REFUSED
    assert last_line(capsys) == f"train.py: {message.format(folder=tmp_path)}"
    assert "torch" not in sys.modules


def test_a_library_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train.jsonl").write_text(LINE)
    monkeypatch.setitem(sys.modules, "server.trainers.bundle.training", None)
    monkeypatch.delattr("server.trainers.bundle.training", raising=False)
    assert train.main([str(hyperparameters(tmp_path))]) == train.REFUSED
    assert last_line(capsys).startswith("train.py: MISSING_LIBRARY: ")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 100 bytes"),
    ],
)
def test_too_little_memory_is_told_with_what_to_lower(error: Exception) -> None:
    request = Request("/nowhere", Path("train.jsonl"), config={"batch_size": 64})
    with pytest.raises(BadInput) as refusal, train._named_out_of_memory(request):
        raise error
    assert refusal.value.code == "OUT_OF_MEMORY"
    assert "lower batch_size (64), max_seq_length (2048) or lora_rank (16)" in str(refusal.value)


def test_another_error_is_not_taken_for_too_little_memory() -> None:
    with (
        pytest.raises(RuntimeError, match="shape"),
        train._named_out_of_memory(Request("/nowhere", Path("train.jsonl"))),
    ):
        raise RuntimeError("shape '[2]' is invalid")
