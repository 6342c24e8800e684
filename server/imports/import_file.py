"""The bulk import: a file of JSON lines becomes pairs of a training sheet, all of them or none."""

import json
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.domain import ids
from server.domain.caller import Caller
from server.domain.derived import derive
from server.domain.errors import InvalidInput
from server.domain.gates import PairStatus, Verdict
from server.imports.formats import BYTE_ORDER_MARK, HEAD_BYTES, mistaken
from server.imports.lines import MAX_LINE_BYTES, Example, parse
from server.imports.target import Target, resolve
from server.storage import curation, importing
from server.storage.importing import ControlTokens, Defective, Line
from server.threads import Threads

BATCH_LINES = 500
BATCH_BYTES = 2 * 1024 * 1024

Progress = Callable[[int, int, int], None]

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    `lines` counts those that hold a pair; each is one of `pairs` (written) or `already_there`. `labels` counts the
    versions of canonical labels that were written. `verdicts` is what the gates say of the pairs that were written;
    only those that occur, in the order of the rules. `defects` says why some of them can't be trained on, whatever the
    other rules say, and `control_tokens` that some quote marks of chat templates, which is allowed.
    """

    lines: int
    pairs: int
    already_there: int
    labels: int
    verdicts: Mapping[Verdict, int]
    defects: Sequence[Defective]
    control_tokens: ControlTokens | None
    sheet_id: str
    template_id: str
    template_version: int
    training_sheet_id: str


async def import_file(  # noqa: PLR0913  (the options of the command)
    engine: AsyncEngine,
    path: Path,
    *,
    sheet: str,
    template: str,
    training_sheet: str,
    system_prompt: str | None = None,
    user_prompt: str | None = None,
    caller: Caller,
    progress: Progress | None = None,
) -> ImportReport:
    """Import a file of JSON lines in one transaction; a bad line stops it, and then nothing is imported.

    Sheet, template and training sheet are found by name or made. Prompts other than those of the template's latest
    version make the next version; a prompt that is not given stays as it is. A training sheet that exists keeps its
    version of the template, and has to be of the same sheet, template and prompts.

    A pair whose exported line and item are already in the training sheet is left as it is and counted as already
    there, so importing a file twice changes nothing. A canonical label that differs from its current version becomes
    the next version, and all pairs of the label then stand under that.

    `progress` is told the bytes done, the bytes in all, and the pairs read so far. Raises `InvalidInput` with file,
    line and reason, and `Conflict` for a training sheet that doesn't fit.
    """
    target = Target(sheet, template, training_sheet, system_prompt, user_prompt)
    target.check()
    file_name = os.fsencode(path.name).decode(errors="replace")
    threads = Threads(1, "import")
    try:
        file = await threads.call(path.open, "rb")
    except OSError as error:
        raise InvalidInput(f"{file_name} can't be read: {error.strerror}") from error
    with file:
        if reason := mistaken(await threads.call(file.peek, HEAD_BYTES)):
            raise InvalidInput(f"{file_name} {reason}")
        async with engine.begin() as connection:
            into = await resolve(connection, target, file_name)
            reader = _Reader(file, file_name, into.template.system_prompt, caller)
            async with aclosing(_records(threads, reader, progress)) as records:
                await importing.copy_lines(connection, records)
            report = await _write(connection, reader, into)
    log.info("file imported", file=file_name, pairs=report.pairs, training_sheet=into.id, by=caller.name)
    return report


class _Reader:
    """Reads a file in batches of bounded size, each in one call of `read`, which may run in a thread."""

    def __init__(self, file: BinaryIO, file_name: str, system_prompt: str | None, caller: Caller) -> None:
        self.file_name = file_name
        self.bytes_total = os.fstat(file.fileno()).st_size
        self.bytes_done = 0
        self.pairs = 0
        self.labels = 0
        self._line = 0
        self._file = file
        self._system_prompt = system_prompt
        self._caller = caller

    def read(self) -> list[Line]:
        """The pairs of the next lines; none at the end of the file."""
        batch: list[Line] = []
        end = self.bytes_done + BATCH_BYTES
        while (not batch or (len(batch) < BATCH_LINES and self.bytes_done < end)) and (content := self._next()):
            if not content.strip():
                continue
            try:
                example = parse(content)
            except InvalidInput as error:
                raise self.refused(self._line, error.message) from error
            batch.append(self._record(example))
            self.labels += example.label is not None
        self.pairs += len(batch)
        return batch

    def refused(self, line: int, reason: str) -> InvalidInput:
        """The refusal of the file because of one of its lines."""
        return InvalidInput(f"{self.file_name}, line {line}: {reason}")

    def _next(self) -> bytes:
        content = self._file.readline(MAX_LINE_BYTES + 1)
        self._line += 1
        if len(content) > MAX_LINE_BYTES and not content.endswith(b"\n"):
            raise self.refused(self._line, f"longer than {MAX_LINE_BYTES:,} bytes")
        self.bytes_done += len(content)
        return content.removeprefix(BYTE_ORDER_MARK) if self._line == 1 else content

    def _record(self, example: Example) -> Line:
        messages, label = example.messages, example.label
        reviewer = None if example.status is PairStatus.UNLABELED else self._caller.name
        return Line(
            line=self._line,
            id=ids.new(ids.Kind.QA_PAIR, self._line),
            item_ref=example.item_ref,
            messages=json.dumps([message._asdict() for message in messages], ensure_ascii=False),
            status=example.status,
            allowed_uses=example.allowed_uses,
            prohibited_uses=example.prohibited_uses,
            **derive(messages, self._system_prompt)._asdict(),
            reviewed_by=example.reviewed_by or reviewer,
            label_id=ids.new(ids.Kind.CANONICAL_LABEL, self._line) if label else None,
            label_type=label.label_type if label else None,
            label_data=label.label_data if label else None,
            label_allowed_uses=label.allowed_uses if label else None,
            label_prohibited_uses=label.prohibited_uses if label else None,
        )


async def _records(threads: Threads, reader: _Reader, progress: Progress | None) -> AsyncGenerator[Line, None]:
    while batch := await threads.call(reader.read):
        for record in batch:
            yield record
        if progress is not None:
            progress(reader.bytes_done, reader.bytes_total, reader.pairs)


async def _write(connection: AsyncConnection, reader: _Reader, into: curation.TrainingSheet) -> ImportReport:
    if not reader.pairs:
        raise InvalidInput(f"{reader.file_name} holds no pairs")
    labels = 0
    if reader.labels:
        if clash := await importing.contradiction(connection):
            reason = (
                f"the {clash.label_type!a} label of the item {clash.item_ref!a} is not the one that line"
                f" {clash.earlier_line} gives; a file may say only one thing"
            )
            raise reader.refused(clash.line, reason)
        await curation.lock_labels(connection, into.sheet_id, to_write=True)
        labels = await importing.insert_labels(connection, into.sheet_id)
    pairs = await importing.insert_pairs(connection, into.id, into.sheet_id)
    return ImportReport(
        lines=reader.pairs,
        pairs=pairs,
        already_there=reader.pairs - pairs,
        labels=labels,
        verdicts=await importing.verdicts(connection),
        defects=await importing.defects(connection),
        control_tokens=await importing.control_tokens(connection),
        sheet_id=into.sheet_id,
        template_id=into.template.id,
        template_version=into.template.version,
        training_sheet_id=into.id,
    )
