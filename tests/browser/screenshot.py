"""A picture of GraphiQL streaming a training job to its end, taken by a browser that reaches only the server."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from tests.browser.chromium import NoChromium, chromium
from tests.browser.devtools import Page, PageFailed, open_page

WIDTH, HEIGHT = 1400, 900
PAGE_SECONDS = 30.0
STREAM_SECONDS = 180.0

OPERATION = """\
subscription WatchTrainingJob($jobId: ID!) {
  trainingJobEvents(jobId: $jobId) {
    sequence
    eventType
    oldStatus
    newStatus
    message
    eventData
    createdAt
  }
}
"""

QUERY = ".graphiql-query-editor .CodeMirror"
VARIABLES = ".graphiql-editor-tool .graphiql-editor:not(.hidden) .CodeMirror"
RESPONSE = ".graphiql-response .CodeMirror"
RUN = "button.graphiql-execute-button"
SHOW_DOCS = "button[aria-label='Show Documentation Explorer']"
HIDE_DOCS = "button[aria-label='Hide Documentation Explorer']"
DOCS = ".graphiql-doc-explorer"


async def stream_in_graphiql(
    url: str,
    operation: str,
    variables: Mapping[str, object],
    out: Path,
    *,
    done: str,
    seconds: float = STREAM_SECONDS,
    scheme: str = "light",
) -> int:
    """Run one subscription in GraphiQL at `url` until it completes, and save a PNG; answers how many events came.

    `done` is what the last event must show; `scheme` is light or dark. Raises PageFailed when the page errs, asks
    another host for anything, or takes longer than `seconds`; NoChromium when there is no browser.
    """
    address = urlsplit(url)
    async with (
        chromium(address.hostname or "") as devtools,
        open_page(devtools, address.netloc, width=WIDTH, height=HEIGHT, scheme=scheme) as page,
    ):
        await _open(page, url)
        await _fill(page, QUERY, operation)
        await _fill(page, VARIABLES, json.dumps(variables, indent=2))
        # GraphiQL reads the document a moment after it was typed, and runs the operation that it read
        await page.until(f"{_editor(QUERY)}.documentAST?.loc.source.body === {json.dumps(operation)}", PAGE_SECONDS)
        await page.click(RUN)
        events = await _follow(page, done, seconds)
        picture = await page.picture()
        page.check()
    await asyncio.to_thread(_save, picture, out)
    return events


def _save(picture: bytes, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(picture)


async def _open(page: Page, url: str) -> None:
    opened = await page.call("Page.navigate", url=url)
    if problem := opened.get("errorText"):
        raise PageFailed(f"{url}: {problem}")
    await page.until(f"document.querySelector({json.dumps(RUN)}) !== null", PAGE_SECONDS)
    # the documentation is there once GraphiQL has the schema
    await page.click(SHOW_DOCS)
    await page.until(f"document.querySelector({json.dumps(DOCS)})?.innerText.includes('Subscription')", PAGE_SECONDS)
    await page.click(HIDE_DOCS)


async def _fill(page: Page, editor: str, text: str) -> None:
    await page.replace_text(editor, text)
    await page.until(f"{_editor(editor)}.getValue() === {json.dumps(text)}", PAGE_SECONDS)


async def _follow(page: Page, done: str, seconds: float) -> int:
    async def ended() -> bool:
        return not {"complete", "error"}.isdisjoint(_kinds(page)) or _is_error(await _response(page))

    await page.wait(ended, "the stream ends", seconds)
    await page.until(f"document.querySelector({json.dumps(RUN)}).ariaLabel.startsWith('Execute')", PAGE_SECONDS)
    response = await _response(page)
    if "complete" not in _kinds(page) or done not in response:
        raise PageFailed(f"the stream ended without {done}; the last response: {response}")
    return _kinds(page).count("next")


async def _response(page: Page) -> str:
    return str(await page.evaluate(f"{_editor(RESPONSE)}?.getValue() ?? ''"))


def _is_error(response: str) -> bool:
    try:
        return "errors" in json.loads(response or "{}")
    except ValueError:
        return True


def _editor(selector: str) -> str:
    return f"document.querySelector({json.dumps(selector)})?.CodeMirror"


def _kinds(page: Page) -> list[str]:
    """Of each message over the WebSocket, its type in graphql-transport-ws."""
    return [json.loads(message)["type"] for message in page.messages]


def main() -> int:
    """Take the picture; 1 when the page failed, 2 when there is no browser."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.screenshot", description=__doc__)
    parser.add_argument("--url", required=True, help="GraphiQL's address, such as http://127.0.0.1:8000/graphql")
    parser.add_argument("--job", required=True, help="id of the training job to follow")
    parser.add_argument("--out", type=Path, default=Path("docs/graphiql.png"))
    parser.add_argument("--done", default="SUCCEEDED", help="what the last event shows")
    parser.add_argument("--seconds", type=float, default=STREAM_SECONDS, help="how long the stream may take")
    parser.add_argument("--scheme", choices=("light", "dark"), default="light")
    given = parser.parse_args()
    streaming = stream_in_graphiql(
        given.url,
        OPERATION,
        {"jobId": given.job},
        given.out,
        done=given.done,
        seconds=given.seconds,
        scheme=given.scheme,
    )
    try:
        events = asyncio.run(streaming)
    except (NoChromium, PageFailed) as problem:
        sys.stderr.write(f"screenshot: {problem}\n")
        return 2 if isinstance(problem, NoChromium) else 1
    sys.stdout.write(f"{given.out}: GraphiQL after {events} events, with nothing loaded from elsewhere\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
