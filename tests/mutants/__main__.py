"""Plant each bug, hunt it, and say which document caught it: `python -m tests.mutants`."""

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from schema.api import build
from tests.differential.__main__ import filled_database
from tests.differential.material import gather
from tests.mutants.planted import MUTANTS, Mutant
from tests.schema.conftest import opened

ROOT = Path(__file__).parents[2]
SOURCES = ("server", "schema", "tests")
PATIENCE = 600  # seconds for one bug


@dataclass(frozen=True, slots=True)
class Hunt:
    """What came of one bug. Without a document it survived, or its copy of the sources did not run."""

    document: int | None
    told: str
    seconds: float
    ran: bool = True


async def hunt(mutant: Mutant | None, url: str, material: Path) -> Hunt:
    """Look for a bug, or for differences of the sources as they are, in a copy of their own. Raises `Outdated`."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tunegraph-mutant-") as folder:
        for name in SOURCES:
            ignored = shutil.ignore_patterns("__pycache__", "node_modules")
            shutil.copytree(ROOT / name, Path(folder) / name, ignore=ignored)
        if mutant is not None:
            mutant.plant(Path(folder))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.mutants.hunting", url, str(material)),
            cwd=folder,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": folder},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            output, errors = await asyncio.wait_for(process.communicate(), PATIENCE)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    seconds = time.monotonic() - began
    if process.returncode != 0:
        return Hunt(None, errors.decode(errors="replace")[-2_000:], seconds, ran=False)
    told = json.loads(output.splitlines()[-1])
    return Hunt(None, "", seconds) if told is None else Hunt(told["document"], told["difference"], seconds)


async def hunt_all(mutants: Sequence[Mutant], url: str, at_once: int) -> bool:
    """Whether the sources as they are have no difference, and each bug makes one."""
    slots = asyncio.Semaphore(at_once)
    with tempfile.TemporaryDirectory(prefix="tunegraph-mutants-") as folder:
        material = Path(folder) / "material.json"
        async with opened(build(), url) as api:
            material.write_text(json.dumps(asdict(await gather(api))))

        async def one(mutant: Mutant | None) -> bool:
            async with slots:
                found = await hunt(mutant, url, material)
            return _told(mutant, found)

        return all(await asyncio.gather(one(None), *map(one, mutants)))


def _told(mutant: Mutant | None, found: Hunt) -> bool:
    """Say what came of a hunt, and whether that is as it should be."""
    if not found.ran:
        verdict, good = "does not run", False
    elif mutant is None:
        good = found.document is None
        verdict = "no difference" if good else f"differs at {found.document}"
    else:
        good = found.document is not None
        verdict = f"caught by {found.document}" if good else "SURVIVED"
    name = "(the sources as they are)" if mutant is None else mutant.name
    _say(f"{verdict:16} {found.seconds:5.1f} s  {name}")
    if not good and found.told:
        _say(found.told)
    return good


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  (who runs this wants to read it)


def main() -> int:
    """0 when all bugs were caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[""], help="bugs whose names contain one of these")
    parser.add_argument("--at-once", type=int, default=2, help="how many to hunt at the same time")
    asked = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if any(part in mutant.name for part in asked.only)]
    for mutant in chosen:
        mutant.check(ROOT)
    with filled_database() as url:
        good = asyncio.run(hunt_all(chosen, url, asked.at_once))
    _say(f"{len(chosen)} bugs: {'all caught' if good else 'see above'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
