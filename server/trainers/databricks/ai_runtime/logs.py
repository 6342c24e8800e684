"""The end of what a training printed: from AI Runtime's log, or from what it left in MLflow."""

import asyncio
import re
from collections.abc import Sequence
from typing import Final

from server.databricks.errors import ApiError
from server.databricks.workspace import Workspace
from server.domain.errors import Unavailable
from server.trainers.databricks.ai_runtime import artifacts, calls
from server.trainers.databricks.ai_runtime.states import Json

LOGS: Final = "/api/2.0/ai-training/workflows/by-run-id/{run_id}/logs"
LINES_PER_PAGE: Final = 1000
MOST_PAGES: Final = 3
TAIL_CHARACTERS: Final = 64 * 1024
STREAM_SECONDS: Final = 4.0  # before the log is looked for in MLflow
NODE: Final = re.compile(r"logs/(?:attempt_(\d+)/)?node_0")
NUMBER: Final = re.compile(r"\d+")


async def streamed(workspace: Workspace, run_id: str) -> str:
    """The tail of AI Runtime's own log, of all nodes. Raises `Unavailable` when it can't be read."""
    newest: list[Json] = []
    # newest first: without `ascending` the order is the service's
    query: dict[str, object] = {"page_size": LINES_PER_PAGE, "ascending": "false"}
    try:
        async with asyncio.timeout(STREAM_SECONDS):
            for _ in range(MOST_PAGES):
                page = await calls.get(workspace, LOGS.format(run_id=run_id), query)
                newest += page.get("log_records") or ()
                query["page_token"] = page.get("next_page_token")
                if not query["page_token"] or sum(len(str(one.get("body"))) for one in newest) >= TAIL_CHARACTERS:
                    break
    except ApiError as error:
        raise Unavailable(f"AI Runtime does not give the log: {error}") from error
    except TimeoutError as error:
        raise Unavailable(f"AI Runtime did not give the log within {STREAM_SECONDS:g} seconds") from error
    return _joined(newest[::-1])


async def kept(workspace: Workspace, tracked: str) -> str:
    """The tail of the first node's log among a run's artifacts in MLflow; empty when it left none.

    Raises `Unavailable`.
    """
    try:
        root = artifacts.root(await calls.tracked(workspace, tracked))
        node = _newest_node(await artifacts.listed(workspace, tracked, "logs"))
        if node is not None and not NODE.fullmatch(node):  # attempts have a folder of their own
            node = _newest_node(await artifacts.listed(workspace, tracked, node))
        if node is None:
            return ""
        chunks = [path for path in await artifacts.listed(workspace, tracked, node) if path != node]
        if not chunks:
            return ""
        return (await artifacts.read(workspace, f"{root}/{max(chunks, key=_numbers)}"))[-TAIL_CHARACTERS:]
    except ApiError as error:
        raise Unavailable(f"MLflow does not give the log: {error}") from error


def _joined(records: Sequence[Json]) -> str:
    nodes = len({one.get("node_index") for one in records})
    lines = [
        (f"[node {one.get('node_index')}] " if nodes > 1 else "") + str(one.get("body") or "").rstrip()
        for one in records
    ]
    return "\n".join(lines)[-TAIL_CHARACTERS:]


def _newest_node(paths: Sequence[str]) -> str | None:
    """Where the first node's log is, or the newest attempt's logs."""
    nodes = [path for path in paths if NODE.fullmatch(path)]
    attempts = [path for path in paths if path.startswith("logs/attempt_")]
    return max(nodes or attempts, key=_numbers, default=None)


def _numbers(path: str) -> tuple[list[int], str]:
    """For ordering: chunk 10 comes after chunk 9."""
    return [int(number) for number in NUMBER.findall(path)], path
