"""Decoding what clients send: what is large beside the event loop."""

from typing import Any, Final

from schema.execution.json_text import decode
from schema.offload import Offload

SMALL_BYTES: Final = 8 * 1024  # decoded in well under a millisecond
QUICK_BYTES: Final = 256 * 1024  # decoded in a few


async def decoded(text: str | bytes, offload: Offload) -> Any:  # noqa: ANN401  (whatever a client sent)
    """The value of a JSON text. Raises `NotJson`, `TooManyEntries` and `Overloaded`."""
    if len(text) <= SMALL_BYTES:
        return decode(text)
    return await offload.run(decode, text, quick=len(text) <= QUICK_BYTES)
