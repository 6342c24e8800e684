"""How a stop reaches the responses that have no end of their own."""

import asyncio

from starlette.types import ASGIApp, Message
from structlog.testing import LogCapture

from tests.server.web.standins import Around, Connection

ASK_FOR_STREAM: Message = {"type": "http.request", "body": b"stream"}
ACCEPT = ((b"accept", b"text/event-stream"),)


async def test_a_stop_ends_a_stream_properly(app: ASGIApp, around: Around, logged: LogCapture) -> None:
    connection = Connection("http", ASK_FOR_STREAM, headers=ACCEPT)
    serving = asyncio.create_task(connection.serve(app))
    async with asyncio.timeout(5):
        assert (await connection.sent.get())["type"] == "http.response.start"
        assert (await connection.sent.get())["body"] == b"event: next\n\n"
        around.stopping.set()
        assert await serving == [{"type": "http.response.body", "body": b"", "more_body": False}]
    assert [line["status"] for line in logged.entries if line["event"] == "request"] == [200]


async def test_a_client_that_goes_ends_its_stream_without_a_word(app: ASGIApp, logged: LogCapture) -> None:
    connection = Connection("http", ASK_FOR_STREAM, {"type": "http.disconnect"})
    async with asyncio.timeout(5):
        sent = await connection.serve(app)
    assert all(message.get("more_body", True) for message in sent)


async def test_an_answer_under_way_is_not_cut_off(app: ASGIApp, around: Around, logged: LogCapture) -> None:
    around.stopping.set()
    start, body = await Connection("http", {"type": "http.request", "body": b"12345"}).serve(app)
    assert start["status"] == 200
    assert body["body"] == b'{"method":"POST","path":"/graphql","bytes":5}'
