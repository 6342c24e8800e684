"""An emulated Databricks workspace as a process of its own, with runs that stand still until they are told to go on."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.bench import cpu
from tests.bench.servers import PROGRAM, Side
from tests.emulator import demo

NICE = 10
NEVER_SECONDS = 1e9  # how long a training takes that is not to go on by itself
TIMEOUT_SECONDS = 60.0
LIST = "GetFinetunesPaginated"
VOLUME = "/Volumes/main/ft/data/tunegraph"
BASE_MODEL = "meta-llama/Llama-3.2-1B-Instruct"


@dataclass(frozen=True, slots=True)
class Listing:
    """A run, and the moments (seconds since the epoch) at which a page of a list showed it."""

    name: str
    status: str
    listed: Sequence[float]


@dataclass(frozen=True, slots=True)
class Workspace:
    """What steers the emulator at `url`."""

    url: str
    http: httpx.AsyncClient

    async def now(self) -> float:
        """Its time, in seconds since the epoch."""
        return float((await self._get("/emulator/clock"))["seconds"])

    async def make(self, like: str, count: int) -> list[tuple[str, str]]:
        """So many more QUEUED runs like one that is there: the name and the MLflow run of each."""
        made = await self._post("/emulator/finetunes", like=like, count=count)
        return [(one["name"], one["run_id"]) for one in made["finetunes"]]

    async def step(self, names: Sequence[str], seconds: float) -> None:
        """Let each of these runs log a step, spread evenly over a time."""
        await self._post("/emulator/finetunes/step", names=names, seconds=seconds)

    async def end(self, names: Sequence[str], seconds: float, reason: str | None = None) -> None:
        """Let each of these runs end, with a `reason` as FAILED, spread evenly over a time."""
        await self._post("/emulator/finetunes/end", names=names, seconds=seconds, reason=reason)

    async def listings(self) -> dict[str, Listing]:
        """All runs, by name."""
        runs = (await self._get("/emulator/finetunes"))["finetunes"]
        return {run["name"]: Listing(run["name"], run["status"], run["listed"]) for run in runs}

    async def forget_requests(self) -> None:
        """Count requests from now on."""
        (await self.http.delete("/emulator/requests")).raise_for_status()

    async def requests(self) -> tuple[int, int]:
        """How many requests came since then, and how many of them were for a page of runs."""
        counts = [await self._get("/emulator/requests/count", **query) for query in ({}, {"operation": LIST})]
        return counts[0]["count"], counts[1]["count"]

    async def _get(self, path: str, **query: str) -> Any:  # noqa: ANN401  (JSON has no type)
        return (await self.http.get(path, params=query)).raise_for_status().json()

    async def _post(self, path: str, **body: object) -> Any:  # noqa: ANN401
        return (await self.http.post(path, json=body)).raise_for_status().json()


@asynccontextmanager
async def emulated(log: Path) -> AsyncIterator[Workspace]:
    """A workspace that ends with the context."""
    with cpu.pinned(cpu.load_cores()):
        async with (
            demo.workspace(NEVER_SECONDS, log) as url,
            httpx.AsyncClient(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False) as http,
        ):
            _stand_back()
            yield Workspace(url, http)


def _stand_back() -> None:
    """Let the emulator give way to those who ask and to Postgres, with whom it shares a core."""
    for child in psutil.Process().children():
        if "tests.emulator" in child.cmdline():
            child.nice(NICE)


def training_there(url: str) -> Side:
    """The program, with FMAPI in the workspace at `url`."""

    def environment(database: str, port: int, folder: Path) -> Mapping[str, str]:
        return {
            **PROGRAM.environment(database, port, folder),
            "DATABRICKS_HOST": url,
            "DATABRICKS_TOKEN": demo.TOKEN,
            "TUNEGRAPH_DATABRICKS_VOLUME": VOLUME,
        }

    return replace(PROGRAM, environment=environment)
