"""What Databricks says of a call that it did not carry out."""

from typing import Final

NOT_FOUND: Final = 404
MISSING_CODES: Final = frozenset({"NOT_FOUND", "RESOURCE_DOES_NOT_EXIST"})


class ApiError(Exception):
    """A refusal for the caller to interpret.

    Its HTTP status is one from 400 to 499 but 401, 408 and 429, or any with the word FEATURE_DISABLED.
    `code` is the service's word, such as RESOURCE_DOES_NOT_EXIST, or empty when it gave none; None when the answer was
    no JSON, and so perhaps that of something in between. `message` has no secrets in it.
    """

    def __init__(self, status: int, code: str | None, message: str) -> None:
        """Keep the status, the code and the message."""
        super().__init__(f"HTTP {status}{f' {code}' if code else ''}: {message}")
        self.status = status
        self.code = code
        self.message = message

    @property
    def is_not_found(self) -> bool:
        """What was asked for does not exist, or may not be seen."""
        return self.status == NOT_FOUND or self.code in MISSING_CODES
