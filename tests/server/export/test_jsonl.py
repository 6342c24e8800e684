import asyncio
import hashlib
import json
import os
import resource
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from server.domain.examples import Message, export_line, line_digest
from server.export.jsonl import ExportFailed, export
from server.storage.migrations import driver_url
from server.threads import Threads

pytestmark = pytest.mark.database

PROMPT = "You are the invoice desk."
Turns = Sequence[tuple[str, str]]


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(driver_url(database_url))
    yield engine
    await engine.dispose()


def asked(question: str, answer: str) -> Turns:
    return [("user", question), ("assistant", answer)]


def expected_line(turns: Turns, system_prompt: str | None = PROMPT) -> bytes:
    return export_line([Message(*turn) for turn in turns], system_prompt)


async def make_job(
    engine: AsyncEngine,
    train: Sequence[Turns],
    validation: Sequence[Turns],
    *,
    system_prompt: str | None = PROMPT,
    digests: dict[int, str] | None = None,
    recorded: int | None = None,
) -> None:
    """A job whose pairs are stored in another order than they are exported in; all at one moment.

    `digests` replaces those at some positions; only the first `recorded` pairs are frozen.
    """
    pairs = [*train, *validation]
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO sheets (id, name, source) VALUES ('sheet_1', 'S', 'EXTERNAL')"))
        await connection.execute(
            text(
                "INSERT INTO templates (id, name, version, system_prompt, user_prompt)"
                " VALUES ('tmpl_1', 'T', 1, :prompt, '{question}')"
            ),
            {"prompt": system_prompt},
        )
        await connection.execute(
            text(
                "INSERT INTO training_sheets (id, name, sheet_id, template_id)"
                " VALUES ('tsheet_1', 'TS', 'sheet_1', 'tmpl_1')"
            )
        )
        await connection.execute(
            text(
                "INSERT INTO training_jobs (id, training_sheet_id, model_name, base_model, trainer, status,"
                " training_config, train_val_split, split_seed, total_pairs, train_pairs, val_pairs,"
                " excluded_not_labeled, excluded_use_prohibited, excluded_use_not_allowed, excluded_malformed,"
                " register_to_uc, created_by) VALUES ('job_1', 'tsheet_1', 'm', 'b', 'LOCAL', 'PENDING', '{}',"
                " 0.8, 0, :total, :train, :val, 0, 0, 0, 0, false, 'local')"
            ),
            {"total": len(pairs), "train": len(train), "val": len(validation)},
        )
        await connection.execute(
            text(
                "INSERT INTO training_job_lineage (job_id, training_sheet_id, training_sheet_name, sheet_id,"
                " sheet_name, template_id, template_name, template_version, model_name)"
                " VALUES ('job_1', 'tsheet_1', 'TS', 'sheet_1', 'S', 'tmpl_1', 'T', 1, 'm')"
            )
        )
        stored = [
            {
                "id": f"qa_{len(pairs) - position:06}",
                "messages": json.dumps([{"role": role, "content": content} for role, content in turns]),
                "digest": line_digest(expected_line(turns, system_prompt)),
            }
            for position, turns in enumerate(pairs)
        ]
        await connection.execute(
            text(
                "INSERT INTO qa_pairs (id, training_sheet_id, messages, status, allowed_uses, prohibited_uses,"
                " question_digest, line_digest)"
                " VALUES (:id, 'tsheet_1', CAST(:messages AS json), 'LABELED', '{}', '{}', 'q', :digest)"
            ),
            stored,
        )
        frozen = [
            {
                "position": position,
                "split": "TRAIN" if position < len(train) else "VALIDATION",
                "pair": pair["id"],
                "digest": (digests or {}).get(position, pair["digest"]),
            }
            for position, pair in enumerate(stored[:recorded])
        ]
        await connection.execute(
            text(
                "INSERT INTO training_job_pairs (job_id, position, split, qa_pair_id, digest)"
                " VALUES ('job_1', :position, :split, :pair, :digest)"
            ),
            frozen,
        )


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_the_files_of_a_small_job_are_exactly_these_bytes(engine: AsyncEngine, tmp_path: Path) -> None:
    await make_job(
        engine,
        [asked("When is it due?", "In 30 days."), asked('Say "ä\n€"\\\u2028', "🙂\r\n\ttab")],
        [asked("Who pays?", "You.")],
    )
    exported = await export(engine, Threads(1), "job_1", tmp_path / "exports" / "job_1")
    assert exported.train_file.name == "train.jsonl"
    assert exported.validation_file.name == "validation.jsonl"
    train = (
        '{"messages":[{"role":"system","content":"You are the invoice desk."},'
        '{"role":"user","content":"When is it due?"},{"role":"assistant","content":"In 30 days."}]}\n'
        '{"messages":[{"role":"system","content":"You are the invoice desk."},'
        '{"role":"user","content":"Say \\"ä\\n€\\"\\\\\\u2028"},{"role":"assistant","content":"🙂\\r\\n\\ttab"}]}\n'
    ).encode()
    validation = (
        b'{"messages":[{"role":"system","content":"You are the invoice desk."},'
        b'{"role":"user","content":"Who pays?"},{"role":"assistant","content":"You."}]}\n'
    )
    assert exported.train_file.read_bytes() == train
    assert exported.validation_file.read_bytes() == validation
    assert exported.digest == hashlib.sha256(train + validation).hexdigest()
    assert left_in(tmp_path / "exports" / "job_1") == ["train.jsonl", "validation.jsonl"]
    assert (tmp_path / "exports" / "job_1").stat().st_mode & 0o777 == 0o700


async def test_the_system_prompt_of_a_pair_replaces_that_of_the_template(engine: AsyncEngine, tmp_path: Path) -> None:
    own = [("system", "Be brief."), *asked("q", "a")]
    await make_job(engine, [own], [asked("q2", "a2")])
    exported = await export(engine, Threads(1), "job_1", tmp_path)
    (line,) = exported.train_file.read_text().splitlines()
    assert [turn["role"] for turn in json.loads(line)["messages"]] == ["system", "user", "assistant"]
    assert json.loads(line)["messages"][0]["content"] == "Be brief."


async def test_without_a_system_prompt_a_line_has_the_turns_alone(engine: AsyncEngine, tmp_path: Path) -> None:
    await make_job(engine, [asked("q", "a")], [asked("q2", "a2")], system_prompt=None)
    exported = await export(engine, Threads(1), "job_1", tmp_path)
    assert exported.train_file.read_bytes() == (
        b'{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}\n'
    )


async def test_lines_are_in_frozen_order_over_many_portions(engine: AsyncEngine, tmp_path: Path) -> None:
    train = [asked(f"question {number}", "a") for number in range(1_001)]
    validation = [asked(f"other {number}", "b") for number in range(250)]
    await make_job(engine, train, validation)
    exported = await export(engine, Threads(1), "job_1", tmp_path)
    assert exported.train_file.read_bytes().splitlines() == [expected_line(turns) for turns in train]
    assert exported.validation_file.read_bytes().splitlines() == [expected_line(turns) for turns in validation]


async def test_a_repeat_keeps_the_files_that_are_right(engine: AsyncEngine, tmp_path: Path) -> None:
    await make_job(engine, [asked(str(number), "a") for number in range(300)], [asked("v", "a")])
    first = await export(engine, Threads(1), "job_1", tmp_path)
    before = [path.stat() for path in (first.train_file, first.validation_file)]
    assert await export(engine, Threads(1), "job_1", tmp_path) == first
    after = [path.stat() for path in (first.train_file, first.validation_file)]
    assert [(stat.st_ino, stat.st_mtime_ns) for stat in after] == [(stat.st_ino, stat.st_mtime_ns) for stat in before]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content.replace(b"answer 1", b"answer 9"),
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2],
        lambda content: content + b"\n",
        lambda content: b"".join(reversed(content.splitlines(keepends=True))),
        lambda _: b"",
    ],
    ids=["another answer", "no last newline", "half", "one line more", "another order", "empty"],
)
async def test_a_file_that_is_not_right_is_written_again(
    engine: AsyncEngine, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    await make_job(engine, [asked(f"q{number}", f"answer {number}") for number in range(3)], [asked("v", "a")])
    first = await export(engine, Threads(1), "job_1", tmp_path)
    right = first.train_file.read_bytes()
    first.train_file.write_bytes(damage(right))
    assert await export(engine, Threads(1), "job_1", tmp_path) == first
    assert first.train_file.read_bytes() == right
    assert left_in(tmp_path) == ["train.jsonl", "validation.jsonl"]


async def test_several_at_once_write_the_same_files(engine: AsyncEngine, tmp_path: Path) -> None:
    await make_job(engine, [asked(str(number), "a") for number in range(500)], [asked("v", "a")])
    exported = await asyncio.gather(*(export(engine, Threads(1), "job_1", tmp_path) for _ in range(4)))
    assert len(set(exported)) == 1
    assert left_in(tmp_path) == ["train.jsonl", "validation.jsonl"]


@pytest.mark.parametrize("position", [0, 450, 500])
async def test_a_pair_that_does_not_fit_its_digest_stops_the_export(
    engine: AsyncEngine, tmp_path: Path, position: int
) -> None:
    train = [asked(f"question {number}", "a") for number in range(500)]
    await make_job(engine, train, [asked("v", "a")], digests={position: "0" * 64})
    pair = f"qa_{501 - position:06}"
    with pytest.raises(ExportFailed, match=f"^the pair {pair} is not what it was when the job was made$") as failed:
        await export(engine, Threads(1), "job_1", tmp_path)
    assert failed.value.permanent
    assert left_in(tmp_path) == (["train.jsonl"] if position == 500 else [])


async def test_a_pair_that_is_missing_stops_the_export(engine: AsyncEngine, tmp_path: Path) -> None:
    await make_job(engine, [asked("q", "a")], [asked("v", "a"), asked("w", "a")], recorded=2)
    with pytest.raises(ExportFailed, match=r"^the job has 2 VALIDATION pairs, but 1 are recorded$") as failed:
        await export(engine, Threads(1), "job_1", tmp_path)
    assert failed.value.permanent
    assert left_in(tmp_path) == ["train.jsonl"]


async def test_a_job_that_does_not_exist(engine: AsyncEngine, tmp_path: Path) -> None:
    with pytest.raises(ExportFailed, match=r"^there is no job job_0$") as failed:
        await export(engine, Threads(1), "job_0", tmp_path)
    assert failed.value.permanent


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_file_that_the_system_refuses_to_grow_is_not_left_half_written(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    await make_job(engine, [asked(f"question {number}", "a" * 500) for number in range(400)], [asked("v", "a")])
    with files_of_at_most(64_000), pytest.raises(ExportFailed, match=r"there is no space left on the disk$") as failed:
        await export(engine, Threads(1), "job_1", tmp_path)
    assert not failed.value.permanent
    assert left_in(tmp_path) == []
    exported = await export(engine, Threads(1), "job_1", tmp_path)
    assert len(exported.train_file.read_bytes().splitlines()) == 400


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "none", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only a root that may mount can make a small disk")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)  # noqa: S607  (where it is differs)


async def test_a_full_disk_leaves_nothing_and_later_works(engine: AsyncEngine, small_disk: Path) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 32_000)
    await make_job(engine, [asked(f"question {number}", "a") for number in range(300)], [asked("v", "a")])
    with pytest.raises(ExportFailed, match=r"there is no space left on the disk$") as failed:
        await export(engine, Threads(1), "job_1", small_disk)
    assert not failed.value.permanent
    assert left_in(small_disk) == ["filler"]
    filler.unlink()
    exported = await export(engine, Threads(1), "job_1", small_disk)
    assert len(exported.train_file.read_bytes().splitlines()) == 300


async def test_a_folder_that_can_not_be_made(engine: AsyncEngine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExportFailed, match=r"could not be written: Not a directory$") as failed:
        await export(engine, Threads(1), "job_1", tmp_path / "file" / "job_1")
    assert not failed.value.permanent


async def test_an_export_that_is_cancelled_leaves_nothing(engine: AsyncEngine, tmp_path: Path) -> None:
    await make_job(engine, [asked(f"question {number}", "a") for number in range(5_000)], [asked("v", "a")])
    exporting = asyncio.create_task(export(engine, Threads(1), "job_1", tmp_path))
    deadline = time.monotonic() + 10
    while not left_in(tmp_path):
        assert time.monotonic() < deadline
        await asyncio.sleep(0)
    exporting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await exporting
    assert left_in(tmp_path) == []


async def test_what_a_killed_program_left_is_removed_once_it_is_old(engine: AsyncEngine, tmp_path: Path) -> None:
    await make_job(engine, [asked("q", "a")], [asked("v", "a")])
    old, young = tmp_path / ".train.jsonl.00.draft", tmp_path / ".train.jsonl.01.draft"
    for draft in (old, young):
        draft.write_text("half")
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    await export(engine, Threads(1), "job_1", tmp_path)
    assert left_in(tmp_path) == [young.name, "train.jsonl", "validation.jsonl"]
