"""What a started server has not imported: libraries that take seconds, and that only a job's work needs."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.database import throwaway_folder
from tests.e2e.program import CHECKOUT, environment

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

SCRIPT = """
import asyncio, sys
import httpx
from server.commands.serve import open_app
from server.settings import Settings

QUERY = "{ trainingJobs { totalCount } baseModels { name } sheets { totalCount } }"

async def main():
    async with open_app(Settings(), asyncio.Event()) as app:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            assert (await client.get("/readyz")).status_code == 200
            answer = (await client.post("/graphql", json={"query": QUERY})).json()
            assert answer["data"]["baseModels"], answer
        print(sorted({"mlflow", "databricks", "sklearn", "scipy", "pandas"} & set(sys.modules)))

asyncio.run(main())
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with throwaway_folder() as folder:
        yield folder


def test_starting_a_server_imports_no_library_that_only_jobs_need(data_dir: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=CHECKOUT,
        env=environment(data_dir),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "[]" in result.stdout.splitlines()  # among the lines of a log that nobody set up
