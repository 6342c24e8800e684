"""Where a page of a browser comes from, and where a server is reached."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.origin import Origin


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("http://localhost:8000", Origin("http", "localhost", 8000)),
        ("HTTP://LocalHost", Origin("http", "localhost", 80)),
        ("https://desk.example", Origin("https", "desk.example", 443)),
        ("https://desk.example:443", Origin("https", "desk.example", 443)),
        ("http://[::1]:8000", Origin("http", "[::1]", 8000)),
    ],
)
def test_an_origin_is_scheme_host_and_port(text: str, origin: Origin) -> None:
    assert Origin.parse(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "localhost:8000",
        "ftp://localhost",
        "http://",
        "http://localhost/",
        "http://localhost:8000/path",
        "http://evil@localhost",
        "http://localhost:",
        "http://localhost:0",
        "http://localhost:65536",
        "http://localhost:80:80",
        "http://localhost:٨",
        "http://localhost\n",
        "http://local host",
        "http://localhost, http://localhost",
        "http://::1",
        "http://[::1",
        "http://[evil]",
        "http://localhost.",
        "http://.localhost",
    ],
)
def test_what_else_looks_like_one_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not|has no such port"):
        Origin.parse(text)


@given(
    st.sampled_from(["http", "https"]),
    st.sampled_from(["localhost", "127.0.0.1", "[::1]", "a-b.example"]),
    st.integers(1, 65535),
)
def test_an_origin_is_read_as_it_is_written(scheme: str, host: str, port: int) -> None:
    assert Origin.parse(str(Origin(scheme, host, port))) == Origin(scheme, host, port)


@given(st.text(max_size=40))
def test_any_text_is_an_origin_or_a_value_error(text: str) -> None:
    try:
        origin = Origin.parse("http://" + text)
    except ValueError:
        return
    assert Origin.parse(str(origin)) == origin
