"""The pages that say whether the process lives, and whether it can answer."""

import httpx

from tests.server.web.standins import Around


async def test_healthz_answers_whatever_the_database_does(client: httpx.AsyncClient, around: Around) -> None:
    around.wrong = {"database": "the database is away"}
    response = await client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})


async def test_readyz_gives_the_reason_why_not(client: httpx.AsyncClient, around: Around) -> None:
    ready = await client.get("/readyz")
    around.wrong = {"database": "the database is away", "poller": "the poller ended"}
    not_ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
    assert (not_ready.status_code, not_ready.json()) == (
        503,
        {"status": "not ready", "reason": "the database is away; the poller ended", "parts": around.wrong},
    )
    assert not_ready.headers["cache-control"] == "no-store"
