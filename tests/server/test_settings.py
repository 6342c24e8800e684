"""What the settings make of the environment's words."""

import pytest
from pydantic import ValidationError

from server.domain.origin import Origin
from server.settings import Settings


def test_origins_are_listed_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEGRAPH_ALLOWED_ORIGINS", "https://desk.example, http://localhost:5173")
    assert Settings().allowed_origins == (Origin("https", "desk.example", 443), Origin("http", "localhost", 5173))


@pytest.mark.parametrize("listed", ["desk.example", "https://desk.example/", "*"])
def test_what_is_no_origin_is_refused(monkeypatch: pytest.MonkeyPatch, listed: str) -> None:
    monkeypatch.setenv("TUNEGRAPH_ALLOWED_ORIGINS", listed)
    with pytest.raises(ValidationError, match=r"is not scheme://host\[:port\]|is not host\[:port\]"):
        Settings()
