"""The pairs that a job froze, as the two chat JSONL files that a trainer reads."""

import errno
import hashlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar, TypeVarTuple

from sqlalchemy import JSON, Row, String, TextualSelect, column, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncResult

from server.domain.examples import Message, export_line, first_export_line, line_digest
from server.threads import Threads

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

TRAIN_FILE = "train.jsonl"
VALIDATION_FILE = "validation.jsonl"

PAIRS_AT_ONCE = 200  # pairs; one may be large
DIGESTS_AT_ONCE = 1_000
ABANDONED_AFTER_SECONDS = 3600.0  # since the last write to a file that nobody finished
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

# An export reads and writes files in one transaction, which may take longer than those of writes. The last of the
# three is unknown to Postgres 16, and counts the files of both sides.
LENGTHEN = text("""
    SELECT set_config(name, CASE name WHEN 'transaction_timeout' THEN '0' ELSE '10min' END, true)
    FROM pg_settings
    WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')
""")
JOB = text("""
    SELECT job.train_pairs, job.val_pairs, template.system_prompt
    FROM training_jobs AS job
    JOIN training_job_lineage AS lineage ON lineage.job_id = job.id
    JOIN templates AS template ON template.id = lineage.template_id
    WHERE job.id = :job_id
""")
PAIRS = text("""
    SELECT frozen.qa_pair_id, frozen.digest, pair.messages
    FROM training_job_pairs AS frozen
    JOIN qa_pairs AS pair ON pair.id = frozen.qa_pair_id
    WHERE frozen.job_id = :job_id AND frozen.split = :split
    ORDER BY frozen.position
""").columns(column("qa_pair_id", String), column("digest", String), column("messages", JSON))
DIGESTS = text("""
    SELECT frozen.digest
    FROM training_job_pairs AS frozen
    WHERE frozen.job_id = :job_id AND frozen.split = :split
    ORDER BY frozen.position
""").columns(column("digest", String))


class ExportFailed(Exception):
    """The files could not be written; nothing is left behind.

    `permanent` when it will never work for this job, as opposed to a disk that has no space now.
    """

    def __init__(self, message: str, *, permanent: bool) -> None:
        """Keep whether to try again."""
        super().__init__(message)
        self.permanent = permanent


@dataclass(frozen=True, slots=True)
class ExportedDataset:
    """Both files, complete and on disk. `digest`: sha256 (hex) of the training file followed by the validation file."""

    train_file: Path
    validation_file: Path
    digest: str


class _Side(NamedTuple):
    """One file of a job: the pairs of a split."""

    job_id: str
    split: str
    pairs: int
    system_prompt: str | None
    path: Path


async def export(engine: AsyncEngine, threads: Threads, job_id: str, folder: Path) -> ExportedDataset:
    """Write the job's files to `folder`, which is made when it is missing; the same job always gives the same bytes.

    Files that are there, from an earlier call, are checked line by line and kept; `threads` read and write them. Raises
    `ExportFailed`, or what the database raises.
    """
    await _on_disk(threads, _make, folder)
    async with engine.connect() as connection:
        await connection.execute(LENGTHEN)
        job = (await connection.execute(JOB, {"job_id": job_id})).one_or_none()
        if job is None:
            raise ExportFailed(f"there is no job {job_id}", permanent=True)
        train = _Side(job_id, "TRAIN", job.train_pairs, job.system_prompt, folder / TRAIN_FILE)
        validation = _Side(job_id, "VALIDATION", job.val_pairs, job.system_prompt, folder / VALIDATION_FILE)
        for side in (train, validation):
            if not await _is_written(connection, threads, side):
                await _write(connection, threads, side)
    return ExportedDataset(train.path, validation.path, await _on_disk(threads, _digest, train.path, validation.path))


async def _write(connection: AsyncConnection, threads: Threads, side: _Side) -> None:
    written = 0
    async with _replacing(threads, side.path) as file:
        async with _rows(connection, PAIRS, side, PAIRS_AT_ONCE) as result:
            async for rows in result.partitions():
                await _on_disk(threads, _append, file, rows, side.system_prompt)
                written += len(rows)
        if written != side.pairs:
            raise ExportFailed(
                f"the job has {side.pairs} {side.split} pairs, but {written} are recorded", permanent=True
            )


def _append(file: BinaryIO, rows: Sequence[Row[Any]], system_prompt: str | None) -> None:
    file.writelines(_frozen_line(row, system_prompt) + b"\n" for row in rows)


def _frozen_line(row: Row[Any], system_prompt: str | None) -> bytes:
    """The line in the form that the job froze."""
    messages = [Message(turn["role"], turn["content"]) for turn in row.messages]
    for written in (export_line, first_export_line):
        line = written(messages, system_prompt)
        if line_digest(line) == row.digest:
            return line
    raise ExportFailed(f"the pair {row.qa_pair_id} is not what it was when the job was made", permanent=True)


async def _is_written(connection: AsyncConnection, threads: Threads, side: _Side) -> bool:
    """Whether the file is there, with exactly the lines that were frozen."""
    with _as_failure():
        if not side.path.exists():
            return False
        file = side.path.open("rb")
    with file:
        async with _rows(connection, DIGESTS, side, DIGESTS_AT_ONCE) as result:
            async for rows in result.partitions():
                if not await _on_disk(threads, _continues, file, [row.digest for row in rows]):
                    return False
        return await _on_disk(threads, file.read, 1) == b""


def _continues(file: BinaryIO, digests: Sequence[str]) -> bool:
    for digest in digests:
        line = file.readline()
        if not line.endswith(b"\n") or line_digest(line[:-1]) != digest:
            return False
    return True


def _rows(
    connection: AsyncConnection, statement: TextualSelect, side: _Side, at_once: int
) -> AbstractAsyncContextManager[AsyncResult[Any]]:
    parameters = {"job_id": side.job_id, "split": side.split}
    return connection.stream(statement, parameters, execution_options={"yield_per": at_once})


@asynccontextmanager
async def _replacing(threads: Threads, path: Path) -> AsyncIterator[BinaryIO]:
    """A file that takes the place of `path`, on disk, once the body has ended well; otherwise it is gone."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.draft")
    with _as_failure():
        file = draft.open("xb")  # not in a thread: cancelled meanwhile, the file would be nobody's
    try:
        yield file
        await _on_disk(threads, _settle, file, draft, path)
    finally:
        with suppress(OSError):  # what is still buffered does not fit either
            file.close()
        draft.unlink(missing_ok=True)


def _settle(file: BinaryIO, draft: Path, path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for draft in folder.glob(".*.draft"):  # of a program that was killed
        with suppress(FileNotFoundError):
            if time.time() - draft.stat().st_mtime > ABANDONED_AFTER_SECONDS:
                draft.unlink()


def _digest(*paths: Path) -> str:
    whole = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while portion := file.read(1 << 20):
                whole.update(portion)
    return whole.hexdigest()


async def _on_disk(threads: Threads, action: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
    with _as_failure():
        return await threads.call(action, *arguments)


@contextmanager
def _as_failure() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (
            "there is no space left on the disk" if error.errno in NO_SPACE else error.strerror or "the disk failed"
        )
        raise ExportFailed(f"the training files could not be written: {reason}", permanent=False) from error
