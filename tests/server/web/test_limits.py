"""How large a request may be."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.server.web.standins import LIMIT


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 200), (LIMIT + 1, 413)])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_refused(
    client: httpx.AsyncClient, size: int, status: int, *, chunked: bool
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, size, 100):
            yield b"x" * min(100, size - start)

    response = await client.post("/graphql", content=chunks() if chunked else b"x" * size)
    assert response.status_code == status
    if status == 200:
        assert response.json()["bytes"] == size
    else:
        assert response.headers["connection"] == "close"
        assert response.json() == {
            "errors": [
                {
                    "message": "The request body is larger than 2048 bytes.",
                    "extensions": {"code": "BODY_TOO_LARGE"},
                }
            ]
        }
