"""How a request is refused before GraphQL sees it: in the shape that its clients read."""

from starlette.responses import JSONResponse, Response


def refusal(status: int, message: str, code: str, *, close: bool = False) -> Response:
    """One error with a code; `close` ends the connection, and what it still sends is not read."""
    return JSONResponse(
        {"errors": [{"message": message, "extensions": {"code": code}}]},
        status_code=status,
        headers={"Connection": "close"} if close else None,
    )
