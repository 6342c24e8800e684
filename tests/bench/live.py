"""The parts that measure what lives: watching, waiting and asking."""

from collections.abc import Awaitable, Callable, Collection, Iterable
from pathlib import Path
from typing import Final, TypeVar

import structlog

from tests.bench import active, asking, beside, live_tables, queued, watching
from tests.bench.live_lines import Live
from tests.bench.postgres import Postgres
from tests.bench.report import Table

SECTIONS: Final = ("watching", "waiting", "asking")
MOST_ROUNDS: Final = 5  # a round of watching is long

log = structlog.get_logger(__name__)

Result = TypeVar("Result")
Show = Callable[[Iterable[Table]], None]


async def run(wanted: Collection[str], postgres: Postgres, url: str, folder: Path, *, rounds: int, show: Show) -> Live:
    """The parts that are wanted; `url` is of a filled database. What breaks off is noted, and the next part goes on."""
    live = Live()
    rounds = min(rounds, MOST_ROUNDS)
    if "watching" in wanted:
        urls = await watching.databases(url)
        live.fanout = await _part(live, "watching", watching.run(urls, folder, rounds=rounds)) or ()
        show([live_tables.fanout(live.fanout)] if live.fanout else [])
        live.beside = (
            await _part(live, "beside", beside.run(urls.ours, folder, rounds=min(rounds, beside.ROUNDS))) or ()
        )
        show([live_tables.beside(live.beside)] if live.beside else [])
    if "waiting" in wanted:
        live.queued = await _part(live, "queued", queued.run(postgres, folder))
        show([live_tables.queued(live.queued)] if live.queued else [])
        live.active = await _part(live, "active", active.run(postgres, folder))
        show([live_tables.active(live.active)] if live.active else [])
    if "asking" in wanted:
        live.asking = await _part(live, "asking", asking.run(url, folder))
        show([live_tables.asking(live.asking)] if live.asking else [])
    return live


async def _part(live: Live, name: str, measuring: Awaitable[Result]) -> Result | None:
    """What a part measured; None when it broke off, which leaves its lines unmet."""
    try:
        return await measuring
    except Exception as error:
        live.failures[name] = f"it broke off ({type(error).__name__})"
        log.exception("a part of the benchmark broke off", part=name)
        return None
