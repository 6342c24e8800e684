import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tests.browser.chromium import NoChromium, chromium, find_chromium
from tests.browser.devtools import Page, PageFailed, allowed, open_page

SECONDS = 20.0


def browser_installed() -> bool:
    try:
        find_chromium()
    except NoChromium:
        return False
    return True


needs_browser = pytest.mark.skipif(not browser_installed(), reason="no Chromium on this machine")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8000/graphql", True),
        ("ws://127.0.0.1:8000/graphql", True),
        ("data:image/png;base64,AA==", True),
        ("about:blank", True),
        ("http://127.0.0.1:8001/", False),
        ("http://127.0.0.1:8000.example.org/", False),
        ("http://127.0.0.1:8000@example.org/", False),
        ("http://example.org/?127.0.0.1:8000", False),
        ("//example.org/x.js", False),
    ],
)
def test_a_page_may_ask_its_own_origin_only(url: str, expected: bool) -> None:  # noqa: FBT001  (a table's column)
    assert allowed(url, "127.0.0.1:8000") is expected


@asynccontextmanager
async def page_of(html: str) -> AsyncIterator[Page]:
    """A browser that has opened this page, served from a port of its own."""

    async def answer(_: Request) -> Response:
        return HTMLResponse(f'<link rel="icon" href="data:,">{html}')

    listener = socket.create_server(("127.0.0.1", 0))
    origin = f"127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=[Route("/", answer)]), log_level="error", ws="none"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with (
            chromium("127.0.0.1") as devtools,
            open_page(devtools, origin, width=400, height=300, scheme="dark") as page,
        ):
            await page.call("Page.navigate", url=f"http://{origin}/")
            await page.until("document.readyState === 'complete' && location.protocol === 'http:'", SECONDS)
            yield page
    finally:
        server.should_exit = True
        await serving


@needs_browser
async def test_a_page_is_clicked_typed_into_and_looked_at() -> None:
    html = "<input value='old'><button onclick='this.textContent = document.querySelector(\"input\").value'>go</button>"
    async with page_of(html) as page:
        await page.replace_text("input", "new")
        await page.click("button")
        await page.until("document.querySelector('button').textContent === 'new'", SECONDS)
        picture = await page.picture()

        assert await page.evaluate("[innerWidth, matchMedia('(prefers-color-scheme: dark)').matches]") == [400, True]
    assert picture.startswith(b"\x89PNG\r\n")
    assert page.complaints == []


@needs_browser
async def test_a_request_to_another_host_fails_and_is_complained_of() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"http://127.0.0.1:{other.getsockname()[1]}/x.png"
        async with page_of("") as page:
            happened = await page.evaluate(
                "new Promise(say => { const image = new Image();"
                f" image.onload = image.onerror = event => say(event.type); image.src = '{address}' }})"
            )
            with pytest.raises(PageFailed, match=f"the page asked for {address}"):
                page.check()
        other.settimeout(0)
        with pytest.raises(BlockingIOError):  # nobody called
            other.accept()

    assert happened == "error"


@needs_browser
@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("console.error('no', 'luck')", "console: no luck"),
        ("setTimeout(() => { throw new Error('no luck') })", "uncaught: Error: no luck"),
    ],
)
async def test_waiting_ends_at_an_error_of_the_page(script: str, complaint: str) -> None:
    async with page_of("") as page:
        await page.evaluate(script)

        with pytest.raises(PageFailed, match=complaint):
            await page.until("false", SECONDS)


@needs_browser
async def test_waiting_ends_when_the_time_is_over() -> None:
    async with page_of("") as page:
        with pytest.raises(PageFailed, match=r"^not so within 0\.2 s: 1 > 2$"):
            await page.until("1 > 2", 0.2)
