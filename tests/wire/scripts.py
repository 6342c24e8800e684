"""Running a client's script as a process of its own."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

from tests.emulator.served import Emulator

CHECKOUT = Path(__file__).parents[2]
TIMEOUT = 240.0
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet"}


async def run(name: str, databricks: Emulator, python: str = sys.executable, **environment: str) -> dict[str, Any]:
    """What `tests/wire/<name>.py` saw, under `python` with what the client reads from its environment."""
    given = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PYTHONPATH": str(CHECKOUT)} | QUIET
    given |= {"DATABRICKS_HOST": databricks.url, "DATABRICKS_TOKEN": databricks.token} | environment
    process = await asyncio.create_subprocess_exec(
        python, "-m", f"tests.wire.{name}", cwd=CHECKOUT, env=given, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            output, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"{output.decode()}\n{complaints.decode()}"
    seen: dict[str, Any] = json.loads(output.decode().strip().splitlines()[-1])
    return seen
