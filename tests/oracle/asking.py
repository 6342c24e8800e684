"""How tests ask the oracle."""

from typing import Any

from tests.oracle.oracle import Oracle


async def data(oracle: Oracle, text: str, **variables: object) -> Any:  # noqa: ANN401  (what the text asks for)
    """The data of an operation that has no errors."""
    answer = await oracle.answer(text, variables)
    assert "errors" not in answer, answer["errors"]
    return answer["data"]
