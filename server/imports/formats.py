"""What a file is that was taken for JSON lines: told by its first bytes, with a way to make JSON lines of it."""

import re
from typing import Final

HEAD_BYTES: Final = 4_096
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
NUL_SHARE: Final = 0.4  # of the bytes in a place that are NUL: nearly all are, in text that is mostly Latin
TO_JSON_LINES: Final = "to_json('FILE.jsonl', orient='records', lines=True, force_ascii=False)"
LIST_TO_LINES: Final = "write one object a line: jq -c '.[]' FILE > FILE.jsonl"

BEGINNINGS: Final = (
    (b"\x1f\x8b", "is compressed with gzip; unpack it first: gunzip FILE"),
    (b"BZh", "is compressed with bzip2; unpack it first: bunzip2 FILE"),
    (b"\xfd7zXZ\x00", "is compressed with xz; unpack it first: unxz FILE"),
    (b"\x28\xb5\x2f\xfd", "is compressed with Zstandard; unpack it first: unzstd FILE"),
    (b"PK\x03\x04", "is a ZIP archive or an Excel workbook; unpack it, or write its rows as JSON lines"),
    (b"PAR1", f"is Parquet; write its rows as JSON lines, with pandas: read_parquet('FILE').{TO_JSON_LINES}"),
    (b"ARROW1", f"is Arrow; write its rows as JSON lines, with pandas: read_feather('FILE').{TO_JSON_LINES}"),
    (b"SQLite format 3\x00", "is an SQLite database; write its rows as JSON lines"),
    (b"%PDF-", "is a PDF document; write its questions and answers as JSON lines"),
)
"""What a file of another format begins with, and what to say of it."""

UNICODE_MARKS: Final = (  # the longer ones first: that of UTF-32 begins as that of UTF-16 does
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
BREAKS_OFF: Final = re.compile(rb"[{\[,:]\s*\Z")


def mistaken(head: bytes) -> str | None:
    """What a file is instead of JSON lines, and the way out, as a sentence without its subject.

    None when it may be JSON lines. `head` is its first bytes: `HEAD_BYTES` or more, if it has as many.
    """
    for beginning, reason in BEGINNINGS:
        if head.startswith(beginning):
            return reason
    if encoding := _encoding(head):
        return f"is {encoding} text; convert it: iconv -f {encoding} -t UTF-8 FILE > FILE.jsonl"
    return _other_text(head.removeprefix(BYTE_ORDER_MARK).lstrip())


def _encoding(head: bytes) -> str | None:
    for mark, encoding in UNICODE_MARKS:
        if head.startswith(mark):
            return encoding
    places = [head[place : len(head) // 4 * 4 : 4] for place in range(4)]
    zero = [bool(place) and place.count(0) / len(place) > NUL_SHARE for place in places]
    return {
        (False, True, False, True): "UTF-16LE",
        (True, False, True, False): "UTF-16BE",
        (False, True, True, True): "UTF-32LE",
        (True, True, True, False): "UTF-32BE",
    }.get((zero[0], zero[1], zero[2], zero[3]))


def _other_text(text: bytes) -> str | None:
    first, newline, _ = text.partition(b"\n")
    if text.startswith(b"["):
        return f"is one JSON array, not JSON lines; {LIST_TO_LINES}"
    if text.startswith(b"{"):
        if newline and BREAKS_OFF.search(first):
            return "has JSON objects that go over several lines; write each on one line: jq -c . FILE > FILE.jsonl"
        return None
    if any(separator in first for separator in (b",", b";", b"\t")):
        return f"looks like CSV; write its rows as JSON lines, with pandas: read_csv('FILE').{TO_JSON_LINES}"
    return None
