"""Draw any number of documents and compare: `python -m tests.differential --count 20000 --seed 1`."""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from anyio.from_thread import start_blocking_portal

from schema.api import build
from server.postgres import database
from tests.database import DatabaseServer, discard_abandoned, throwaway_folder
from tests.differential import data
from tests.differential.material import gather
from tests.differential.running import Tally, run
from tests.differential.sides import both

ROUND = 100  # documents; both sides forget what they kept between rounds


@contextmanager
def filled_database() -> Iterator[str]:
    """The address of a throwaway database with the rows."""
    discard_abandoned()
    with (
        throwaway_folder() as folder,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(database(folder, durable=False)) as url,
    ):
        server = DatabaseServer(portal, url)
        try:
            with server.temporary(server.make_template()) as filled:
                portal.call(data.fill, filled)
                yield filled
        finally:
            server.close()


async def compare(url: str, seed: int, start: int, count: int, *, most: int) -> list[str]:
    """Reports of the differences in so many documents; ends early after `most` of them."""
    schema, tally, reports, began = build(), Tally(), list[str](), time.monotonic()
    async with both(schema, url) as sides:
        material = await gather(sides.api)
    for first in range(start, start + count, ROUND):
        async with both(schema, url) as sides:
            async for report in run(sides, material, seed, range(first, min(first + ROUND, start + count)), tally):
                _say(f"{report}\n")
                reports.append(report)
                if len(reports) >= most:
                    break
        seconds = time.monotonic() - began
        _say(f"{tally.documents} documents, {tally.requests} requests, {seconds:.0f} s")
        if len(reports) >= most:
            break
    _say(_summary(tally, seed, start))
    return reports


def _summary(tally: Tally, seed: int, start: int) -> str:
    head = (
        f"seed {seed}, from document {start}: {tally.documents} documents, {tally.requests} requests;"
        f" {tally.with_values} have values, {tally.with_errors} errors"
    )
    drawn = [f"{times:9} {construct}" for construct, times in tally.drawn.most_common()]
    return "\n".join([head, *drawn, *(f"    never {missing}" for missing in tally.missing())])


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  (who runs this wants to read it)


def main() -> int:
    """0 when all answers were the same."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000, help="how many documents")
    parser.add_argument("--seed", type=int, default=1, help="the seed that they are drawn from")
    parser.add_argument("--start", type=int, default=0, help="the number of the first document")
    parser.add_argument("--most", type=int, default=1, help="after how many differences to stop")
    asked = parser.parse_args()
    with filled_database() as url:
        reports = asyncio.run(compare(url, asked.seed, asked.start, asked.count, most=asked.most))
    return 1 if reports else 0


if __name__ == "__main__":
    sys.exit(main())
