"""Values that are easy to get wrong on the way from a table to JSON."""

from datetime import UTC, datetime
from typing import Final

TEXTS: Final = (
    "plain",
    "",
    " \t\n\r",
    "„quoted“ \"double\" 'single' `back`",
    "back\\slash \\n \\u0041 \\\\",
    "astral 🦓 \U0001d518\U0001d52b 👩‍👩‍👧",
    "combining e\u0301 a\u030a and é å",
    "\u202eright to left\u202c שלום مرحبا",
    "control \x01\x08\x0b\x0c\x1b\x1f\x7f\x85",
    "separators \u2028 \u2029 \ufeff \ufffd \uffff",
    "</script><!-- %s %d {} $1 :name ?",
    "'; DROP TABLE sheets; --",
    "null",
    "NaN",
)

JSONS: Final = (
    '{"zebra": 1, "a": 2, "Z": 3, "aa": 4, "10": 5, "9": 6, "": 7}',
    '{"a": 1, "A": 2, "a ": 3, "\\u0061\\u0301": 4, "\\u00e1": 5}',
    '{"twice": 1, "twice": {"twice": 2, "b": 3}, "b": 4}',
    "[1, 1.0, -0.0, 0, 1e22, 1E+2, 1.50, 0.1, 5e-324, 1.7976931348623157e308, 1e-7]",
    "[9007199254740993, 18446744073709551616, -9223372036854775809, 1180591620717411303424]",
    '{"o": {"o": {}, "l": []}, "l": [[], {}, [[]], [{}]], "n": [null, [null]]}',
    '"only „text“ \\" \\\\ \\/ \\b\\f\\n\\r\\t \\u007f \\ud83e\\udd93"',
    "true",
    "false",
    "0",
    "-1.5",
    '""',
    "[]",
    "{}",
    "null",
    '[true, 1, "1", false, 0, "", null]',
    '{ "spaced" : [ 1 ,\t2 ,\n3 ] }',
    '{"__typename": "x", "r$1": 1, "id": null, "cursor": "c", "nodes": []}',
)

DOCUMENTS: Final = tuple(text for text in JSONS if text != "null")  # for columns whose value is never null

FLOATS: Final = (
    0.0,
    -0.0,
    1.0,
    -1.5,
    0.1 + 0.2,
    1e22,
    1e21,
    123456789012345680.0,
    1e-7,
    5e-324,
    1.7976931348623157e308,
    -1.7976931348623157e308,
    100.0,
    2.5e-9,
)

BIG_INTS: Final = (0, -1, 2**31, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63))

MOMENTS: Final = (
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2025, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2024, 2, 29, 12, 0, 0, 500_000, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(1900, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2026, 3, 29, 1, 30, 0, 120_000, tzinfo=UTC),
    datetime(2016, 12, 31, 23, 59, 59, 10, tzinfo=UTC),
    datetime(812, 7, 4, 5, 6, 7, 89, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_998, tzinfo=UTC),
)
