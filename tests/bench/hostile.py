"""Requests that cost a server much more than their sender. Each is legal HTTP and JSON, and within the body's limit."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from tests.bench.load import Request

STATUSES: Final = "query($n: [TrainingJobStatus!]) { trainingJobs(filter: {status: $n}) { totalCount } }"
SAME_PAIRS: Final = """{ trainingSheets(first: 1) { nodes { qaPairs(first: 100) { nodes { trainingSheet {
  qaPairs(first: 100) { nodes { trainingSheet { qaPairs(first: %d) { nodes {
    a: messages { role content } b: messages { role content } c: messages { role content } d: messages { role content }
  } } } } } } } } } } }"""
ALIASES = 4_900


@dataclass(frozen=True, slots=True)
class Attack:
    """Requests, so many of which are under way at once. `requests` makes them for a server's port."""

    title: str
    requests: Callable[[int], Sequence[bytes]]
    at_once: int = 1


def post(query: str, **variables: object) -> Callable[[int], Sequence[bytes]]:
    """One POST of an operation."""
    return lambda port: [_posted(query, port, **variables)]


def each(queries: Callable[[], Sequence[str]]) -> Callable[[int], Sequence[bytes]]:
    """A POST of each operation."""
    return lambda port: [_posted(query, port) for query in queries()]


def get(query: str, **variables: object) -> Callable[[int], Sequence[bytes]]:
    """One GET of an operation, as the address of an image on any page can be."""
    target = f"/graphql?query={quote(query)}&variables={quote(json.dumps(variables, separators=(',', ':')), safe=',:')}"
    return lambda port: [
        f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: application/json\r\n\r\n".encode()
    ]


def aliases(field: str, count: int, prefix: str = "a") -> str:
    """A document that asks for one field under many names."""
    return "{ " + " ".join(f"{prefix}{number}: {field}" for number in range(count)) + " }"


def _posted(query: str, port: int, **variables: object) -> bytes:
    return Request("/graphql", json.dumps({"query": query, "variables": variables}).encode()).bytes(port)


def attacks() -> list[Attack]:
    """All of them, the most dangerous last."""
    lists = "trainingJobs(first: 1) { nodes { id } }"
    return [
        Attack("100,000 wrong values of a variable", post(STATUSES, n=[1] * 100_000)),
        Attack("the same, 31,000 of them in a GET", get(STATUSES, n=[1] * 31_000)),
        Attack("the same, 500,000 of them", post(STATUSES, n=[1] * 500_000)),
        Attack("500,000 right values of a variable", post(STATUSES, n=["PENDING"] * 500_000)),
        Attack(
            "4,900 unknown fields of a filter",
            post(f"{{ trainingJobs(filter: {{{' '.join(f'x{n}: 1' for n in range(ALIASES))}}}) {{ totalCount }} }}"),
        ),
        Attack("a comment of 15 MB", post("{ __typename } #" + "x" * 15_000_000)),
        Attack(
            "a string of 12 MB",
            post('{ trainingJobs(filter: {modelName: """' + "x" * 12_000_000 + '"""}) { totalCount } }'),
        ),
        Attack(
            "documents of 900 kB, 4 at once",
            each(lambda: [aliases("__typename", 45_000, f"d{turn}_") for turn in range(4)]),
            at_once=4,
        ),
        Attack("4,900 names of __typename", post(aliases("__typename", ALIASES))),
        Attack(
            "40 such documents, 8 at once",
            each(lambda: [aliases("__typename", ALIASES, f"d{turn}_") for turn in range(40)]),
            at_once=8,
        ),
        Attack(
            "60 names of __schema, 4 documents at once",
            each(lambda: [aliases("__schema { types { name } }", 60, f"d{turn}_") for turn in range(4)]),
            at_once=4,
        ),
        Attack(
            "40 documents of 40 lists, 8 at once",
            each(lambda: [aliases(lists, 40, f"d{turn}_") for turn in range(40)]),
            at_once=8,
        ),
        Attack(
            "10 documents of 100 lists, as many as may be",
            each(lambda: [aliases(lists, 100, f"e{turn}_") for turn in range(10)]),
            at_once=8,
        ),
        Attack(
            "10 bodies of 15 MB at once",
            each(lambda: ["{ __typename } #" + "x" * (15_000_000 + turn) for turn in range(10)]),
            at_once=10,
        ),
        Attack("the same pairs over and over, 100 by 100 by 10", post(SAME_PAIRS % 10)),
        Attack("the same pairs over and over, 100 by 100 by 25", post(SAME_PAIRS % 25)),
    ]
