"""JSON as it is read from clients and written to them."""

import json
import math
from typing import Any, Final


class NotJson(ValueError):
    """What a client sent is no JSON text in UTF-8, or one that nests beyond reason."""


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


DECODER: Final = json.JSONDecoder(parse_constant=_finite, parse_float=_finite)


def decode(text: str | bytes) -> Any:  # noqa: ANN401  (whatever a client sent)
    """The value of a JSON text. Raises `NotJson`, for numbers beyond any use as well: NaN, 1e999, 5,000 digits."""
    try:
        plain = text if isinstance(text, str) else text.decode()
        return DECODER.decode(plain)
    except (ValueError, RecursionError):
        raise NotJson from None


def encode(value: object) -> bytes:
    """JSON in UTF-8. A lone surrogate of a client's that an error quotes is written as JSON's escape for it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode(errors="backslashreplace")
