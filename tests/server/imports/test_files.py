"""Reading a file to import: what it may look like, how progress is told, and that an import can be stopped."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.domain.errors import InvalidInput
from server.imports.import_file import BATCH_BYTES, BATCH_LINES
from server.imports.lines import MAX_LINE_BYTES
from tests.server.imports.files import Importer, asked, importer, recorder

pytestmark = pytest.mark.database


@pytest.fixture
async def imports(database_url: str, tmp_path: Path) -> AsyncIterator[Importer]:
    async with importer(database_url, tmp_path) as imports:
        yield imports


async def test_a_mark_at_the_start_blank_lines_and_windows_line_ends_are_fine(imports: Importer) -> None:
    content = b'\xef\xbb\xbf\r\n{"prompt": "a", "response": "b"}\r\n \t\r\n\n{"prompt": "c", "response": "d"}'
    path = imports.folder / "windows.jsonl"
    path.write_bytes(content)
    report = await imports.file(path)
    assert report.lines == 2
    rows = await imports.desk.rows("SELECT messages -> 1 ->> 'content' FROM qa_pairs ORDER BY created_at, id")
    assert rows == [("b",), ("d",)]


async def test_a_long_stretch_of_blank_lines_does_not_end_the_file(imports: Importer) -> None:
    report = await imports.lines(asked("first"), b"\n" * (3 * BATCH_BYTES), asked("last"))
    assert report.pairs == 2


async def test_a_line_that_is_not_utf_8_is_refused_with_its_number(imports: Importer) -> None:
    with pytest.raises(InvalidInput) as refused:
        await imports.lines(asked(), '{"prompt": "ü", "response": "!"}'.encode("latin-1"))
    assert refused.value.message == "examples.jsonl, line 2: not UTF-8 text (byte 0xfc at position 13)"


async def test_a_line_may_be_as_long_as_the_limit_and_no_longer(imports: Importer) -> None:
    line = b'{"prompt": "?", "response": "!"}'.ljust(MAX_LINE_BYTES)
    assert (await imports.lines(line, line)).pairs == 2
    with pytest.raises(InvalidInput) as refused:
        await imports.lines(asked(), line + b" ")
    assert refused.value.message == "examples.jsonl, line 2: longer than 8,388,608 bytes"


@pytest.mark.parametrize("content", [b"", b"\n \r\n\n", b"\xef\xbb\xbf"])
async def test_a_file_without_pairs_is_refused(imports: Importer, content: bytes) -> None:
    path = imports.folder / "empty.jsonl"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"^empty\.jsonl holds no pairs$"):
        await imports.file(path)
    assert await imports.nothing()


async def test_a_file_that_cannot_be_read_is_refused(imports: Importer) -> None:
    with pytest.raises(InvalidInput, match=r"^missing\.jsonl can't be read: No such file or directory$"):
        await imports.file(imports.folder / "missing.jsonl")
    with pytest.raises(InvalidInput, match=r"can't be read: Is a directory$"):
        await imports.file(imports.folder)


async def test_a_file_name_that_is_not_text_is_no_obstacle(imports: Importer) -> None:
    path = imports.write(asked(), name=os.fsdecode(b"caf\xe9.jsonl"))
    await imports.file(path)
    assert await imports.desk.value("SELECT source_location FROM sheets") == "caf�.jsonl"


async def test_progress_is_told_in_steps_up_to_the_end(imports: Importer) -> None:
    path = imports.write(*(asked(answer="x" * 50_000) for _ in range(100)))
    size = path.stat().st_size
    seen, progress = recorder()
    await imports.file(path, progress=progress)
    assert [total for _, total, _ in seen] == [size] * len(seen)
    assert seen[-1] == (size, size, 100)
    done = [0, *(done for done, _, _ in seen)]
    steps = [later - earlier for earlier, later in itertools.pairwise(done)]
    assert min(steps) > 0
    assert max(steps) < BATCH_BYTES + 51_000


async def test_an_import_that_is_cancelled_leaves_nothing_behind(imports: Importer) -> None:
    path = imports.write(*(asked(f"{line}") for line in range(5 * BATCH_LINES)))
    begun = asyncio.Event()
    running = asyncio.create_task(imports.file(path, progress=lambda *_: begun.set()))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await imports.nothing()
    assert (await imports.file(path)).pairs == 5 * BATCH_LINES


async def test_a_callback_that_fails_stops_the_import(imports: Importer) -> None:
    def fail(*_: int) -> None:
        raise OSError("the terminal is gone")

    with pytest.raises(OSError, match="the terminal is gone"):
        await imports.lines(asked(), progress=fail)
    assert await imports.nothing()
