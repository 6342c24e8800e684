"""The emulator as a process of its own: `python -m tests.emulator --port 8100 --token T`."""

import argparse
import secrets
import signal
import threading
from pathlib import Path

from tests.emulator.options import Options
from tests.emulator.served import serving


def _arguments() -> argparse.Namespace:
    defaults = Options()
    parser = argparse.ArgumentParser(prog="python -m tests.emulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="the port on loopback; 0 takes a free one")
    parser.add_argument("--token", default=defaults.token, help="the personal access token that is accepted")
    parser.add_argument("--client-id", default=defaults.client_id, help="the service principal that is accepted")
    parser.add_argument("--client-secret", default=defaults.client_secret, help="and its secret")
    parser.add_argument("--user", default=defaults.user, help="who the personal access token belongs to")
    parser.add_argument("--pace", type=float, default=defaults.pace, help="how many seconds a training takes")
    parser.add_argument("--data", type=Path, help="where the files are kept; a temporary folder by default")
    parser.add_argument("--seed", help="makes all identifiers the same again; random by default")
    return parser.parse_args()


def main() -> None:
    given = _arguments()
    options = Options(
        token=given.token,
        client_id=given.client_id,
        client_secret=given.client_secret,
        user=given.user,
        pace=given.pace,
        seed=given.seed or secrets.token_hex(8),
    )
    ended = threading.Event()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: ended.set())
    with serving(options, given.data, given.port) as served:
        print(f"Databricks is emulated at {served.url}", flush=True)  # noqa: T201  (whoever started it waits for this line)
        ended.wait()


if __name__ == "__main__":
    main()
