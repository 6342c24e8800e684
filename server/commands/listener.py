"""The address a server listens on: checked and taken before anything else is opened."""

import errno
import ipaddress
import socket

from server.commands.running import Cannot
from server.settings import Settings

BACKLOG = 2048


def listen(settings: Settings) -> socket.socket:
    """A socket that already listens: who comes while the server still opens its parts waits a moment.

    Raises:
        Cannot: the address is not of this machine's loopback, or another program has the port.
    """
    family, address = _loopback(settings.host, settings.port)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # so that a port can be taken again right after its last owner has gone
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise Cannot(_why_not(settings, error)) from error
    listener.setblocking(False)
    return listener


def names(settings: Settings) -> frozenset[str]:
    """The names under which clients on this machine may reach the server."""
    given = f"[{settings.host}]" if ":" in settings.host else settings.host
    return frozenset({"127.0.0.1", "[::1]", "localhost", given.lower()})


def authority(listener: socket.socket) -> str:
    """The host and port of a listening socket, as an address has them."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _loopback(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise Cannot(f"TUNEGRAPH_HOST is {host!r}, which can't be resolved: {error}") from error
    if not all(ipaddress.ip_address(address[0]).is_loopback for *_, address in addresses):
        raise Cannot(
            f"TUNEGRAPH_HOST is {host!r}, which other machines could reach. No way to tell who asks is configured, "
            "so the server listens on loopback only (127.0.0.1, ::1, localhost)"
        )
    # a name may stand for both kinds of address, and 127.0.0.1 is what clients try
    family, _, _, _, address = min(addresses, key=lambda entry: entry[0] != socket.AF_INET)
    return family, (str(address[0]), int(address[1]))


def _why_not(settings: Settings, error: OSError) -> str:
    place = f"{settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        return f"Port {settings.port} is busy: another program listens on {place}. Set TUNEGRAPH_PORT to a free port"
    if error.errno == errno.EACCES:
        return f"Port {settings.port} may not be used without privileges. Set TUNEGRAPH_PORT to 1024 or more"
    return f"The server can't listen on {place}: {error.strerror or error}"
