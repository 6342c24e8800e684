"""Every call that was made, for tests to look at what was sent and how often."""

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

LONGEST_BODY = 1 << 20
MOST_CALLS = 100_000


@dataclass(slots=True)
class Recorded:
    """One call. `status` is None when no answer was sent: a time-out or a reset."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: Any
    operation: str | None = None
    fault: str | None = None
    status: int | None = None
    at: float = 0.0


@dataclass(slots=True)
class Requests:
    """The newest calls, oldest first."""

    calls: deque[Recorded] = field(default_factory=lambda: deque(maxlen=MOST_CALLS))

    def __iter__(self) -> Iterator[Recorded]:
        return iter(list(self.calls))

    def __len__(self) -> int:
        return len(self.calls)

    def add(self, call: Recorded) -> None:
        self.calls.append(call)

    def to(self, method: str = "*", path: str = "*", operation: str | None = None) -> list[Recorded]:
        """The calls of this method to paths of this pattern, and of this GraphQL operation."""
        return [
            call
            for call in self
            if fnmatchcase(call.method, method)
            and fnmatchcase(call.path, path)
            and (operation is None or call.operation == operation)
        ]

    def clear(self) -> None:
        self.calls.clear()


def readable(body: bytes, content_type: str) -> Any:  # noqa: ANN401  (JSON has no type)
    """A body as JSON, as text, or only its size."""
    if not body:
        return None
    if len(body) > LONGEST_BODY:
        return f"<{len(body)} bytes>"
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return f"<{len(body)} bytes>"
    if "json" in content_type or "octet-stream" in content_type:
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text
