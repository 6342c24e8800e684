"""The folder of one run, which the server and the training process talk through.

request.json says what to train; the trainer writes it last, so a folder with one is complete. progress.jsonl has a
line for each epoch, result.json the end; both are the child's. `cancel` asks the child to stop. run.lock is held by the
child for its whole life: the kernel drops it however the child ends, so holding it is what being alive means.
"""

import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Self

from server.domain.metrics import MetricPoint
from server.domain.status import RunState
from server.trainers.bundle.progress import Progress
from server.trainers.trainer import TrainingRequest

LOG_TAIL_BYTES = 8_192
BLOCK_BYTES = 8_192
QUEUE = ".queue"
SLOTS = ".slots"


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended."""

    state: RunState
    error_code: str | None = None
    message: str | None = None
    custom_metrics: Mapping[str, Any] | None = None
    training_duration_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a run's lock. `created` is when it was, in seconds since 1970: pids are used again."""

    pid: int
    created: float


@dataclass(frozen=True, slots=True)
class Run:
    """One run's folder."""

    folder: Path

    @property
    def job_id(self) -> str:
        """The job that it belongs to."""
        return self.folder.name

    @property
    def model(self) -> Path:
        """Where the trained model is, in MLflow's format."""
        return self.folder / "model"

    @property
    def log(self) -> Path:
        """What the child printed."""
        return self.folder / "child.log"

    @classmethod
    def create(cls, runs: Path, request: TrainingRequest) -> Self:
        """Make a run's folder, whole or not at all; one that is there stays as it is."""
        run = cls(runs / request.job_id)
        run.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not run.is_there():
            run.queue_mark.parent.mkdir(mode=0o700, exist_ok=True)
            run.queue_mark.touch()
            values = asdict(request) | {
                "train_file": str(request.train_file.absolute()),
                "validation_file": str(request.validation_file.absolute()),
            }
            write_whole(run.folder / "request.json", values)
        return run

    def is_there(self) -> bool:
        """Whether the run was submitted."""
        return (self.folder / "request.json").exists()

    def request(self) -> dict[str, Any]:
        """The `TrainingRequest` as JSON values. Raises `FileNotFoundError` when the run was not submitted."""
        request: dict[str, Any] = json.loads((self.folder / "request.json").read_bytes())
        return request

    @property
    def queue_mark(self) -> Path:
        """A file that is there from the submission until the run is taken from the queue; its age is the place."""
        return self.folder.parent / QUEUE / self.job_id

    @property
    def lock(self) -> Path:
        """Held by the child as long as it lives; its content tells which process that is."""
        return self.folder / "run.lock"

    def holder(self) -> Holder | None:
        """Who took the lock last; None when that process has not said so yet, or let go of it in order."""
        try:
            return Holder(**json.loads(self.lock.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def leave_queue(self) -> None:
        """Take it out of the queue; it is not started again."""
        self.queue_mark.unlink(missing_ok=True)

    def ask_to_cancel(self) -> None:
        """Ask the child to stop, by a file that it reads before each batch."""
        (self.folder / "cancel").touch()

    def cancel_age(self, now: float) -> float | None:
        """Seconds since somebody asked to cancel; None when nobody has."""
        try:
            return now - (self.folder / "cancel").stat().st_mtime
        except FileNotFoundError:
            return None

    def was_started(self) -> bool:
        """Whether a child ever began to train."""
        return (self.folder / "started").exists()

    def mark_started(self) -> None:
        """Note that a child has its slot and trains."""
        (self.folder / "started").touch()
        self.leave_queue()

    def result(self) -> Result | None:
        """How it ended; None while it runs or waits."""
        try:
            values = json.loads((self.folder / "result.json").read_bytes())
        except FileNotFoundError:
            return None
        return Result(**{**values, "state": RunState(values["state"])})

    def end(self, result: Result) -> None:
        """Write how it ended, unless that is written already."""
        if self.result() is None:
            write_whole(self.folder / "result.json", asdict(result))
        self.leave_queue()

    def tell(self, progress: Progress, point: MetricPoint | None) -> None:
        """Add a line to the progress: one write, so that a reader sees all of it or none."""
        entry = {"progress": asdict(progress)}
        if point is not None:
            entry["point"] = {"step": point.step, "at": point.at.isoformat(), "values": dict(point.values)}
        line = json.dumps(entry) + "\n"
        with (self.folder / "progress.jsonl").open("ab", buffering=0) as file:
            file.write(line.encode())

    def progress(self, after_step: int = -1) -> tuple[Progress | None, list[MetricPoint]]:
        """The latest progress and the points after a step, oldest first; a torn last line is left for the next look.

        Read from the end, so that it costs what is new, however long the run is.
        """
        latest, points = None, list[MetricPoint]()
        try:
            with (self.folder / "progress.jsonl").open("rb") as file:
                for line in lines_from_the_end(file):
                    entry = json.loads(line)
                    latest = latest or Progress(**entry["progress"])
                    if point := entry.get("point"):
                        if point["step"] <= after_step:
                            break
                        points.append(MetricPoint(point["step"], datetime.fromisoformat(point["at"]), point["values"]))
        except FileNotFoundError:
            return None, []
        return latest, points[::-1]

    def log_tail(self) -> str:
        """The last `LOG_TAIL_BYTES` that the child printed; empty when it printed nothing."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""


def lines_from_the_end(file: IO[bytes]) -> Iterator[bytes]:
    """The complete lines of a file, the last one first, read in blocks; what follows the last break is left out."""
    at, rest, complete = file.seek(0, os.SEEK_END), b"", False
    while at > 0:
        size = min(BLOCK_BYTES, at)
        at = file.seek(at - size)
        rest = file.read(size) + rest
        rest, *lines = rest.split(b"\n")
        if lines and not complete:
            lines.pop()
            complete = True
        yield from reversed(lines)
    if complete:
        yield rest


def write_whole(path: Path, values: object) -> None:
    """Write a JSON file that is either complete or not there, also after a power cut."""
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")  # threads of one process may write the same file
    with draft.open("w", encoding="utf-8") as file:
        json.dump(values, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def remove(folder: Path) -> bool:
    """Delete the folder of a run; not while its process lives."""
    with held(Run(folder).lock) as lock:
        if lock is None:
            return False
        (folder / "request.json").unlink(missing_ok=True)  # first: what is left is no run
        shutil.rmtree(folder)
    return True


def queued(runs: Path) -> list[Run]:
    """Submitted runs that wait for a slot, the longest waiting first."""
    try:
        marks = [(mark.stat().st_mtime_ns, mark.name) for mark in (runs / QUEUE).iterdir()]
    except FileNotFoundError:
        return []
    return [run for _, name in sorted(marks) if (run := Run(runs / name)).is_there()]


@contextmanager
def held(path: Path) -> Iterator[IO[str] | None]:
    """The lock of a file for the length of the context; None when another process holds it."""
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield file


def is_held(path: Path) -> bool:
    """Whether some process holds the lock of a file; several may ask at once, and do not mistake each other for one."""
    try:
        with path.open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def wait_until_free(path: Path) -> None:
    """Return once no process holds the lock of a file alone. It blocks: for a thread that is no use otherwise."""
    with path.open(encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
