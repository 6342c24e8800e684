"""An application around an endpoint that says what reached it, and what it logs."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import structlog
from starlette.types import ASGIApp
from structlog.testing import LogCapture

from tests.server.web.standins import Around


@pytest.fixture
def around() -> Around:
    return Around()


@pytest.fixture
def app(around: Around) -> ASGIApp:
    return around.app()


@pytest.fixture
def logged() -> Iterator[LogCapture]:
    capture = LogCapture()
    before = structlog.get_config()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, capture], cache_logger_on_first_use=False)
    yield capture
    structlog.configure(**before)


@pytest.fixture
async def client(app: ASGIApp, logged: LogCapture) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        yield client
