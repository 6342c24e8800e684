"""Where a server may listen, and what is said when it can't."""

import socket

import pytest

from server.commands import listener
from server.commands.running import Cannot
from server.settings import Settings


def settings(**values: object) -> Settings:
    return Settings.model_validate({"port": 0, **values})


def test_it_listens_at_once_and_says_where() -> None:
    with listener.listen(settings()) as taken:
        host, port = taken.getsockname()
        assert listener.authority(taken) == f"127.0.0.1:{port}"
        with socket.create_connection((host, port), timeout=5):
            assert taken.getblocking() is False


def test_a_busy_port_names_the_port_and_its_setting() -> None:
    with listener.listen(settings()) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Cannot) as refused:
            listener.listen(settings(port=port))
    assert str(refused.value) == (
        f"Port {port} is busy: another program listens on 127.0.0.1:{port}. Set TUNEGRAPH_PORT to a free port"
    )


def test_a_port_can_be_taken_again_right_after_its_last_owner() -> None:
    with listener.listen(settings()) as first:
        port = first.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            first.setblocking(True)
            accepted, _ = first.accept()
            accepted.close()  # the server's side closes first, so the address lingers
            assert client.recv(1) == b""
    with listener.listen(settings(port=port)) as second:
        assert second.getsockname()[1] == port


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "2001:db8::1"])  # noqa: S104  (refused, not listened on)
def test_a_host_that_others_could_reach_is_refused(host: str) -> None:
    with pytest.raises(Cannot, match=r"TUNEGRAPH_HOST is '.*', which other machines could reach"):
        listener.listen(settings(host=host))


def test_localhost_is_the_address_that_clients_try() -> None:
    with listener.listen(settings(host="localhost")) as taken:
        assert taken.getsockname()[0] == "127.0.0.1"


def test_a_host_that_is_none_is_refused() -> None:
    with pytest.raises(Cannot, match="can't be resolved"):
        listener.listen(settings(host="no such host"))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", {"127.0.0.1", "[::1]", "localhost"}),
        ("127.0.0.2", {"127.0.0.1", "127.0.0.2", "[::1]", "localhost"}),
        ("::1", {"127.0.0.1", "[::1]", "localhost"}),
        ("LocalHost", {"127.0.0.1", "[::1]", "localhost"}),
    ],
)
def test_names_are_those_of_this_machine(host: str, expected: set[str]) -> None:
    assert listener.names(settings(host=host)) == expected
