"""What Databricks says of a call that it did not carry out."""


class ApiError(Exception):
    """A refusal for the caller to interpret.

    Its HTTP status is one from 400 to 499 but 401, 408 and 429, or any with the word FEATURE_DISABLED.
    `code` is the service's word, such as RESOURCE_DOES_NOT_EXIST, or empty when it gave none; None when the answer was
    no JSON, and so perhaps that of something in between. `message` has no secrets in it.
    """

    def __init__(self, status: int, code: str | None, message: str) -> None:
        """Keep what was answered."""
        super().__init__(f"HTTP {status}{f' {code}' if code else ''}: {message}")
        self.status = status
        self.code = code
        self.message = message
