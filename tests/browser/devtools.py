"""A page in a browser, over the Chrome DevTools Protocol: do what a person does, hear what the page complains of."""

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

CALL_SECONDS = 20.0
LOOK_SECONDS = 0.05
CTRL = 2
INERT_SCHEMES = {"about", "blob", "data"}  # these reach no host


class PageFailed(Exception):
    """The page did not do what was expected of it."""


def allowed(url: str, origin: str) -> bool:
    """Whether a page served from `origin` (host:port) may ask for `url`."""
    parts = urlsplit(url)
    return parts.scheme in INERT_SCHEMES or parts.netloc == origin


class Page:
    """A tab that may reach one origin.

    A request to any other is refused and noted in `complaints`, as is every error on the console.
    """

    def __init__(self, socket: ClientConnection, origin: str) -> None:
        self.complaints: list[str] = []
        self.messages: list[str] = []  # what its WebSockets received
        self._socket = socket
        self._origin = origin
        self._session = ""
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._hears: Mapping[str, Callable[[dict[str, Any]], None]] = {
            "Network.requestWillBeSent": lambda event: self._requested(event["request"]["url"]),
            "Network.webSocketCreated": lambda event: self._requested(event["url"]),
            "Network.webSocketFrameReceived": lambda event: self.messages.append(event["response"]["payloadData"]),
            "Runtime.exceptionThrown": self._threw,
            "Runtime.consoleAPICalled": self._logged,
            "Log.entryAdded": self._noted,
        }

    async def call(self, method: str, **params: object) -> dict[str, Any]:
        """One command of the protocol. Raises PageFailed with the browser's words, or when it does not answer."""
        number = next(self._ids)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await self._send(number, method, params)
            return await asyncio.wait_for(answer, CALL_SECONDS)
        except (TimeoutError, ConnectionClosed) as error:
            raise PageFailed(f"the browser does not answer: {method}") from error
        finally:
            self._waiting.pop(number, None)

    async def evaluate(self, expression: str) -> Any:  # noqa: ANN401 -- whatever JSON the page answers
        """What a JavaScript expression is worth in the page, as JSON. Raises PageFailed when it throws."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if thrown := answer.get("exceptionDetails"):
            raise PageFailed(f"{expression}: {_told(thrown)}")
        return answer["result"].get("value")

    async def until(self, expression: str, seconds: float) -> None:
        """Wait until the expression is true in the page. Raises PageFailed at a complaint or when the time is over."""

        async def true() -> bool:
            return bool(await self.evaluate(expression))

        await self.wait(true, expression, seconds)

    async def wait(self, condition: Callable[[], Awaitable[bool]], what: str, seconds: float) -> None:
        """Wait until a condition is met. Raises PageFailed, naming `what`, as `until` does."""
        try:
            async with asyncio.timeout(seconds):
                while not await condition():
                    self.check()
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError as error:
            raise PageFailed(f"not so within {seconds:g} s: {what}") from error

    def check(self) -> None:
        """Raise PageFailed if the page complained of anything so far."""
        if self.complaints:
            raise PageFailed("\n".join(self.complaints))

    async def click(self, selector: str) -> None:
        """Press and release the left button of the mouse over the middle of an element."""
        box = await self.evaluate(f"document.querySelector({json.dumps(selector)})?.getBoundingClientRect().toJSON()")
        if not box:
            raise PageFailed(f"nothing to click at: {selector}")
        at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        await self.call("Input.dispatchMouseEvent", type="mouseMoved", **at)
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at)

    async def replace_text(self, selector: str, text: str) -> None:
        """Click into an editor, select all of it, and type over it."""
        await self.click(selector)
        key = {"key": "a", "code": "KeyA", "windowsVirtualKeyCode": ord("A"), "modifiers": CTRL}
        await self.call("Input.dispatchKeyEvent", type="rawKeyDown", commands=["selectAll"], **key)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **key)
        await self.call("Input.insertText", text=text)

    async def picture(self) -> bytes:
        """The page as it looks now, as a PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"])

    async def attach(self, width: int, height: int, scheme: str) -> None:
        """Take hold of the browser's first tab, and watch all that it does. Needs `listen` running."""
        tabs = (await self.call("Target.getTargets"))["targetInfos"]
        tab = next(target["targetId"] for target in tabs if target["type"] == "page")
        self._session = (await self.call("Target.attachToTarget", targetId=tab, flatten=True))["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")
        await self.call("Fetch.enable", patterns=[{"urlPattern": "*"}])
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def listen(self) -> None:
        """Hear answers and events until the browser hangs up; what still waits then fails."""
        try:
            async for text in self._socket:
                await self._hear(json.loads(text))
        finally:
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(PageFailed("the browser hung up"))

    async def _hear(self, message: dict[str, Any]) -> None:
        if "id" in message:
            answer = self._waiting.get(message["id"])
            if answer is None or answer.done():
                return
            if "error" in message:
                answer.set_exception(PageFailed(message["error"]["message"]))
            else:
                answer.set_result(message["result"])
        elif message["method"] == "Fetch.requestPaused":
            await self._let_through(message["params"])
        elif hears := self._hears.get(message["method"]):
            hears(message["params"])

    async def _let_through(self, event: dict[str, Any]) -> None:
        if allowed(event["request"]["url"], self._origin):
            await self._send(next(self._ids), "Fetch.continueRequest", {"requestId": event["requestId"]})
        else:
            refusal = {"requestId": event["requestId"], "errorReason": "BlockedByClient"}
            await self._send(next(self._ids), "Fetch.failRequest", refusal)

    async def _send(self, number: int, method: str, params: Mapping[str, object]) -> None:
        message = {"id": number, "method": method, "params": params}
        await self._socket.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))

    def _requested(self, url: str) -> None:
        if not allowed(url, self._origin):
            self.complaints.append(f"the page asked for {url}")

    def _threw(self, event: dict[str, Any]) -> None:
        self.complaints.append(f"uncaught: {_told(event['exceptionDetails'])}")

    def _logged(self, event: dict[str, Any]) -> None:
        if event["type"] in {"error", "assert"}:
            said = " ".join(str(part.get("value", part.get("description", ""))) for part in event["args"])
            self.complaints.append(f"console: {said}")

    def _noted(self, event: dict[str, Any]) -> None:
        entry = event["entry"]
        if entry["level"] == "error":
            self.complaints.append(f"{entry['source']}: {entry['text']} {entry.get('url', '')}".rstrip())


def _told(details: dict[str, Any]) -> str:
    return str(details.get("exception", {}).get("description", details["text"]))


@asynccontextmanager
async def open_page(devtools: str, origin: str, *, width: int, height: int, scheme: str) -> AsyncIterator[Page]:
    """A page of the browser at `devtools` that may reach `origin` (host:port) only; `scheme` is light or dark."""
    async with connect(devtools, proxy=None, max_size=None, ping_interval=None) as socket:
        page = Page(socket, origin)
        listening = asyncio.create_task(page.listen(), name="devtools")
        try:
            await page.attach(width, height, scheme)
            yield page
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
