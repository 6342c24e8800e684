"""Files that are something else than JSON lines are refused with what they are and what to do."""

import bz2
import csv
import gzip
import io
import json
import lzma
import shlex
import shutil
import subprocess
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from server.domain.errors import InvalidInput
from server.imports.formats import HEAD_BYTES, mistaken
from tests.server.imports.files import Importer, asked, importer

ARRAY = "is one JSON array, not JSON lines; write one object a line: jq -c '.[]' FILE > FILE.jsonl"
TABLE = (
    "looks like CSV; write its rows as JSON lines, with pandas:"
    " read_csv('FILE').to_json('FILE.jsonl', orient='records', lines=True, force_ascii=False)"
)
LINE = json.dumps(asked("Überweisung?", "Ja."), ensure_ascii=False)
TEXT = f"{LINE}\n{LINE}\n"


def zipped(content: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr(zipfile.ZipInfo("examples.jsonl"), content)
    return written.getvalue()


def table(delimiter: str) -> bytes:
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter).writerows([["prompt", "response"], ["?", "!"]])
    return written.getvalue().encode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (gzip.compress(TEXT.encode(), mtime=0), "is compressed with gzip; unpack it first: gunzip FILE"),
        (bz2.compress(TEXT.encode()), "is compressed with bzip2; unpack it first: bunzip2 FILE"),
        (lzma.compress(TEXT.encode()), "is compressed with xz; unpack it first: unxz FILE"),
        (zipped(TEXT.encode()), "is a ZIP archive or an Excel workbook; unpack it, or write its rows as JSON lines"),
        (TEXT.encode("utf-16"), "is UTF-16 text; convert it: iconv -f UTF-16 -t UTF-8 FILE > FILE.jsonl"),
        (
            b"\xfe\xff" + TEXT.encode("utf-16-be"),
            "is UTF-16 text; convert it: iconv -f UTF-16 -t UTF-8 FILE > FILE.jsonl",
        ),
        (TEXT.encode("utf-16-le"), "is UTF-16LE text; convert it: iconv -f UTF-16LE -t UTF-8 FILE > FILE.jsonl"),
        (TEXT.encode("utf-16-be"), "is UTF-16BE text; convert it: iconv -f UTF-16BE -t UTF-8 FILE > FILE.jsonl"),
        (TEXT.encode("utf-32"), "is UTF-32 text; convert it: iconv -f UTF-32 -t UTF-8 FILE > FILE.jsonl"),
        (TEXT.encode("utf-32-be"), "is UTF-32BE text; convert it: iconv -f UTF-32BE -t UTF-8 FILE > FILE.jsonl"),
        (
            f"[{LINE}, {LINE}]".encode(),
            ARRAY,
        ),
        (f"\ufeff\n [\n{LINE}\n]".encode(), ARRAY),
        (
            json.dumps(asked(), indent=2).encode(),
            "has JSON objects that go over several lines; write each on one line: jq -c . FILE > FILE.jsonl",
        ),
        *(
            (
                table(delimiter),
                TABLE,
            )
            for delimiter in ",;\t"
        ),
    ],
)
def test_what_a_file_is_instead_is_told_with_the_way_out(content: bytes, reason: str) -> None:
    assert mistaken(content[:HEAD_BYTES]) == reason


@pytest.mark.parametrize("beginning", [b"PAR1", b"ARROW1\0\0", b"SQLite format 3\0", b"%PDF-1.7", b"\x28\xb5\x2f\xfd"])
def test_other_formats_are_known_by_their_first_bytes(beginning: bytes) -> None:
    assert mistaken(beginning + b"x" * 100)


@given(some.lists(some.dictionaries(some.text(), some.text() | some.integers() | some.lists(some.text()))))
def test_json_lines_are_never_mistaken(objects: list[dict[str, object]]) -> None:
    for ascii_only in (True, False):
        lines = "\r\n".join(json.dumps(line, ensure_ascii=ascii_only) for line in objects)
        for content in (lines, f"\ufeff{lines}", f"\n \t{lines}\n"):
            assert mistaken(content.encode(errors="surrogatepass")[:HEAD_BYTES]) is None


@given(some.binary(max_size=200))
def test_any_bytes_are_looked_at(head: bytes) -> None:
    reason = mistaken(head)
    assert reason is None or reason.isprintable()


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode("utf-16"),
        TEXT.encode("utf-16-le"),
        f"[{LINE},\n{LINE}]".encode(),
        json.dumps(json.loads(LINE), indent=2).encode(),
        gzip.compress(TEXT.encode(), mtime=0),
    ],
    ids=["utf-16", "utf-16le", "array", "indented", "gzip"],
)
def test_the_way_out_leads_to_json_lines(content: bytes, tmp_path: Path) -> None:
    command = (mistaken(content[:HEAD_BYTES]) or "").rpartition(": ")[2]
    program = shlex.split(command)[0]
    if shutil.which(program) is None:
        pytest.skip(f"this machine has no {program}")
    given_file = tmp_path / ("FILE.gz" if program == "gunzip" else "FILE")
    given_file.write_bytes(content)
    subprocess.run(command.replace("gunzip FILE", "gunzip FILE.gz"), shell=True, check=True, cwd=tmp_path)  # noqa: S602  (as a user would type it)
    written = tmp_path / ("FILE" if program == "gunzip" else "FILE.jsonl")
    assert mistaken(written.read_bytes()[:HEAD_BYTES]) is None
    assert {line["response"] for line in map(json.loads, written.read_bytes().splitlines())} == {"Ja."}


@pytest.fixture
async def imports(database_url: str, tmp_path: Path) -> AsyncIterator[Importer]:
    async with importer(database_url, tmp_path) as imports:
        yield imports


@pytest.mark.database
async def test_an_import_is_refused_with_what_the_file_is(imports: Importer) -> None:
    path = imports.folder / "windows.jsonl"
    path.write_bytes(TEXT.encode("utf-16"))
    with pytest.raises(InvalidInput) as refused:
        await imports.file(path)
    assert refused.value.message == (
        "windows.jsonl is UTF-16 text; convert it: iconv -f UTF-16 -t UTF-8 FILE > FILE.jsonl"
    )
    with pytest.raises(InvalidInput) as refused:
        await imports.lines(asked(), f"\ufeff{LINE}")
    assert refused.value.message == (
        "examples.jsonl, line 2: not valid JSON: a byte order mark, U+FEFF, at column 1; it is left where files were"
        " put together; take it out: perl -pi -e 's/\\xEF\\xBB\\xBF//g' FILE"
    )
    assert await imports.nothing()
