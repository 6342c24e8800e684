"""The emulator as a process of its own."""

import asyncio
import re
import signal
import sys
from asyncio.subprocess import PIPE

import httpx
import pytest

from tests.emulator.clients import VOLUME
from tests.emulator.options import Options
from tests.emulator.served import emulator, serving
from tests.waiting import until


async def test_it_says_where_it_is_and_ends_when_asked() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.emulator", "--token", "t", "--user", "anna@example.com", "--pace", "1", stdout=PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            line = (await process.stdout.readline()).decode()
        found = re.fullmatch(r"Databricks is emulated at (http://127\.0\.0\.1:\d+)\n", line)
        assert found is not None, line
        async with httpx.AsyncClient(base_url=found[1], headers={"Authorization": "Bearer t"}) as http:
            me = (await http.get("/api/2.0/preview/scim/v2/Me")).json()
            volume = await http.get(f"/api/2.0/fs/directories{VOLUME}")
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert (me["userName"], volume.json(), status) == ("anna@example.com", {"contents": []}, 0)


async def test_real_time_goes_by_itself() -> None:
    async with emulator(pace=0.2) as served, httpx.AsyncClient(base_url=served.url) as http:
        first = (await http.get("/emulator/clock")).json()["seconds"]

        async def later() -> bool:
            return bool((await http.get("/emulator/clock")).json()["seconds"] > first)

        await until(later)
        served.clock.advance(1000)
        assert (await http.get("/emulator/clock")).json()["seconds"] >= first + 1000


async def test_a_port_that_is_taken_is_refused_at_once() -> None:
    async with emulator() as served:
        port = int(served.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"), serving(Options(), port=port):
            pass
