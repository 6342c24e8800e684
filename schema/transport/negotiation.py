"""Which media types a client accepts, and in which one an answer comes.

Plain `application/json` is for whoever does not name another (https://graphql.github.io/graphql-over-http/): it can't
tell by its status code whether anything was executed.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

JSON: Final = "application/json"
GRAPHQL_JSON: Final = "application/graphql-response+json"
EVENT_STREAM: Final = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Accepted:
    """How a client takes answers: a single one as `single`, when it takes it at all, and many when `stream`."""

    single: str | None
    stream: bool

    @property
    def refusal(self) -> str:
        """What a request is refused in; a client that wants nothing but a stream has to cope with it."""
        return self.single or (GRAPHQL_JSON if self.stream else JSON)


@lru_cache(maxsize=256)
def accepted(header: str) -> Accepted:
    """What the Accept headers of a request say, joined by commas; without any, all is accepted."""
    wanted = _qualities(header or "*/*")
    graphql = wanted.get(GRAPHQL_JSON, 0)
    plain = wanted.get(JSON, wanted.get("application/*", wanted.get("*/*", 0)))
    single = None
    if graphql or plain:
        single = GRAPHQL_JSON if graphql >= plain else JSON
    return Accepted(single, wanted.get(EVENT_STREAM, 0) > 0)


def _qualities(header: str) -> dict[str, float]:
    """The q of each media range; 1 where it has none, or one that is no number."""
    found: dict[str, float] = {}
    for part in header.lower().split(","):
        media_range, *parameters = (piece.strip() for piece in part.split(";"))
        found[media_range] = next((_quality(value[2:]) for value in parameters if value.startswith("q=")), 1.0)
    return found


def _quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 1.0
    return quality if math.isfinite(quality) else 1.0
