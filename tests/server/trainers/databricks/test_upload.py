"""Training files in a volume: whole, checked, and sent once."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from server.databricks.workspace import Workspace
from server.domain.errors import Unavailable
from server.trainers.databricks.upload import Uploaded, upload
from server.trainers.trainer import TrainingRequest
from tests.emulator.served import Emulator, emulator
from tests.server.trainers.attempts import attempts

VOLUME = "/Volumes/main/ft/data/desk"
TRAIN = f"{VOLUME}/job_1/train.jsonl"
VALIDATION = f"{VOLUME}/job_1/validation.jsonl"
FILES = "/api/2.0/fs/files"
LARGE = 60 * 1024 * 1024


@pytest.fixture
async def databricks(tmp_path: Path) -> AsyncIterator[Emulator]:
    async with emulator(folder=tmp_path / "workspace") as databricks:
        yield databricks


@pytest.fixture
def request_(tmp_path: Path) -> TrainingRequest:
    train, validation = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    train.write_bytes(b'{"messages": []}\n' * 1000)
    validation.write_bytes(b'{"messages": [1]}\n')
    return TrainingRequest("job_1", "desk", "base", {}, 7, train, validation, "digest")


def workspace(databricks: Emulator) -> Workspace:
    given = {"host": databricks.url, "token": databricks.token, "auth_type": "pat"}
    return Workspace(given, request_seconds=1.0, repeat_seconds=1, longest_pause_seconds=0.1)


def stored(databricks: Emulator, path: str) -> bytes:
    return databricks.world.disk.file(path).read_bytes()


def sent(databricks: Emulator) -> list[str]:
    return [call.path.removeprefix(FILES) for call in databricks.requests.to("PUT", f"{FILES}/*")]


async def test_both_files_are_in_the_jobs_folder_and_the_same(databricks: Emulator, request_: TrainingRequest) -> None:
    assert await upload(workspace(databricks), f"{VOLUME}/", request_) == Uploaded(TRAIN, VALIDATION)
    assert stored(databricks, TRAIN) == request_.train_file.read_bytes()
    assert stored(databricks, VALIDATION) == request_.validation_file.read_bytes()


async def test_files_that_are_there_are_kept(databricks: Emulator, request_: TrainingRequest) -> None:
    await upload(workspace(databricks), VOLUME, request_)
    assert sent(databricks) == [TRAIN, VALIDATION]
    assert await upload(workspace(databricks), VOLUME, request_) == Uploaded(TRAIN, VALIDATION)
    assert sent(databricks) == [TRAIN, VALIDATION]


@pytest.mark.parametrize("other", [b"shorter", b"x" * 17_000], ids=["of another size", "of the same size"])
async def test_a_file_with_another_content_is_replaced(
    databricks: Emulator, request_: TrainingRequest, other: bytes
) -> None:
    await upload(workspace(databricks), VOLUME, request_)
    databricks.world.disk.file(TRAIN).write_bytes(other)
    await upload(workspace(databricks), VOLUME, request_)
    assert sent(databricks) == [TRAIN, VALIDATION, TRAIN]
    assert stored(databricks, TRAIN) == request_.train_file.read_bytes()


async def test_nothing_to_validate_on_is_no_file(databricks: Emulator, request_: TrainingRequest) -> None:
    request_.validation_file.write_bytes(b"")
    assert await upload(workspace(databricks), VOLUME, request_) == Uploaded(TRAIN, None)
    assert sent(databricks) == [TRAIN]


@pytest.mark.parametrize("method", ["PUT", "HEAD", "GET"])
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "timeout"},
        {"kind": "reset"},
        {"kind": "reset", "after": True},
        {"kind": "429", "retry_after": 1},
        {"kind": "error", "status": 500},
        {"kind": "error", "status": 403},
        {"kind": "html"},
        {"kind": "truncated"},
        {"kind": "cut", "after": True},
    ],
    ids=str,
)
async def test_whatever_goes_wrong_the_next_upload_makes_it_whole(
    databricks: Emulator, request_: TrainingRequest, method: str, fault: dict[str, Any]
) -> None:
    databricks.faults.script(path=f"{FILES}/*/train.jsonl", method=method, **fault)
    put, said = await attempts(lambda: upload(workspace(databricks), VOLUME, request_))
    assert put == Uploaded(TRAIN, VALIDATION)
    assert len(said) <= 1
    assert databricks.token not in "".join(said)
    assert [call.fault for call in databricks.requests.to(method, f"{FILES}/*") if call.fault] == [fault["kind"]]
    assert stored(databricks, TRAIN) == request_.train_file.read_bytes()
    assert stored(databricks, VALIDATION) == request_.validation_file.read_bytes()


async def test_a_file_that_was_not_stored_whole_is_said_to_be_wrong(
    databricks: Emulator, request_: TrainingRequest
) -> None:
    databricks.faults.script("html", f"{FILES}/*/train.jsonl", method="GET", status=200)
    with pytest.raises(Unavailable, match=r"train\.jsonl is not what was uploaded"):
        await upload(workspace(databricks), VOLUME, request_)


async def test_a_volume_that_is_not_there_is_named(databricks: Emulator, request_: TrainingRequest) -> None:
    with pytest.raises(Unavailable, match="can't be put into /Volumes/main/ft/nowhere/job_1: HTTP 404"):
        await upload(workspace(databricks), "/Volumes/main/ft/nowhere", request_)


async def test_a_large_file_goes_in_one_stream(databricks: Emulator, request_: TrainingRequest) -> None:
    with request_.train_file.open("wb") as file:
        file.truncate(LARGE)
    await upload(workspace(databricks), VOLUME, request_)
    assert databricks.world.disk.file(TRAIN).stat().st_size == LARGE
    assert sent(databricks) == [TRAIN, VALIDATION]
