"""The server process of a cluster: started, found again and stopped."""

import re
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from server.postgres.account import Account, spawn
from server.postgres.binaries import Binaries
from server.postgres.cluster import Cluster
from server.postgres.errors import PostgresError

STOP_TIMEOUT_SECONDS = 30.0
STOP_POLL_SECONDS = 0.01
BUSY_PORT = "Address already in use"
BACKENDS_LEFT = "is still in use"  # the shared memory, by sessions whose postmaster was killed
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # a client hears of its own mistakes; a log of them would keep the texts they were about
    "log_min_messages": "log",
}
THROWAWAY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "128MB",  # it may lie in memory
}


@dataclass(frozen=True)
class Postmaster:
    """A server process that is known to be Postgres on one cluster; `child` is None when another process began it."""

    process: psutil.Process
    port: int
    child: subprocess.Popen[bytes] | None = None

    def alive(self) -> bool:
        """Whether it still runs; this also collects it when it was our child."""
        if self.child is not None:
            return self.child.poll() is None
        try:
            return bool(self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False


def running(cluster: Cluster) -> Postmaster | None:
    """The server of the cluster, whoever started it; a pid is believed only if it is Postgres with this data."""
    try:
        pid, _, _, port, *_ = _pid_file(cluster)
        process = psutil.Process(int(pid))
        ours = _serves(process, cluster.data)
    except (OSError, ValueError, psutil.Error):
        return None
    return Postmaster(process, int(port)) if ours else None


def listening(cluster: Cluster) -> bool:
    """Whether the server says that it has its port and takes connections; before, the port may be a stranger's."""
    try:
        return _pid_file(cluster)[-1].strip() == "ready"
    except (OSError, IndexError):
        return False


def _pid_file(cluster: Cluster) -> list[str]:
    # pid, data folder, start time, port, socket folder, address, shared memory, state
    return (cluster.data / "postmaster.pid").read_text().splitlines()


def _serves(process: psutil.Process, data: Path) -> bool:
    if process.name() != "postgres" or process.status() == psutil.STATUS_ZOMBIE:
        return False
    if str(data) in process.cmdline():
        return True
    # the folder was moved while the server ran, or somebody else started it; root in a container may not look
    try:
        return data.samefile(process.cwd())
    except psutil.AccessDenied:
        return False


def launch(cluster: Cluster, binaries: Binaries, account: Account | None, port: int, *, durable: bool) -> Postmaster:
    """Start the server and return at once. It is ready when it takes queries, and gone when it could not start.

    The caller holds the lock of the cluster and knows that no server is running.

    Raises:
        PostgresError: the data was made by another version.
    """
    made_by = int((cluster.data / "PG_VERSION").read_text())
    if made_by != binaries.major:
        raise PostgresError(
            f"{cluster.data} was made by Postgres {made_by}, and {binaries.folder} holds Postgres {binaries.version}: "
            f"name a Postgres {made_by} by PG_BIN, or use another data folder"
        )
    # Postgres itself believes a file that names a living stranger and would not start; whether sessions of a killed
    # server are left it knows without the file, by the shared memory that belongs to the folder
    (cluster.data / "postmaster.pid").unlink(missing_ok=True)
    settings = SETTINGS | {"port": str(port)} | ({} if durable else THROWAWAY)
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    cluster.log.touch(0o600)
    with cluster.log.open("wb") as log:
        child = spawn([binaries.folder / "postgres", "-D", cluster.data, *options], account, log)
    return Postmaster(psutil.Process(child.pid), port, child)


def last_port(cluster: Cluster) -> int | None:
    """The port of the last start, so that clients find the server where it was."""
    try:
        match = re.search(r'"port=(\d+)"', (cluster.data / "postmaster.opts").read_text())
    except OSError:
        return None
    return int(match[1]) if match else None


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on; somebody may before it is used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def stop(postmaster: Postmaster) -> None:
    """End all sessions and stop in order; blocks until the process is gone.

    Raises:
        PostgresError: it would not go.
    """
    # "fast": roll back, disconnect, checkpoint; then "immediate": leave it to recovery at the next start
    for order in (signal.SIGINT, signal.SIGQUIT):
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        if postmaster.alive():
            try:
                postmaster.process.send_signal(order)
            except psutil.NoSuchProcess:
                return
        while postmaster.alive() and time.monotonic() < deadline:
            time.sleep(STOP_POLL_SECONDS)
        if not postmaster.alive():
            return
    raise PostgresError(f"Postgres (process {postmaster.process.pid}) does not stop")
