"""The state of a run of the Jobs API as a `RunState`. Read from JSON: the SDK drops words that it doesn't know.

https://docs.databricks.com/api/workspace/jobs/getrun
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from server.domain.status import RunState

Json = Mapping[str, Any]

WAITING: Final = frozenset({"QUEUED", "PENDING", "BLOCKED", "WAITING", "WAITING_FOR_RETRY"})
SUCCESS, CANCELED, TIMEDOUT = "SUCCESS", "CANCELED", "TIMEDOUT"
FAILURES: Final = frozenset(
    {
        "FAILED",
        TIMEDOUT,
        "SUCCESS_WITH_FAILURES",  # there is one task, and it did not succeed
        "MAXIMUM_CONCURRENT_RUNS_REACHED",
        "EXCLUDED",
        "UPSTREAM_FAILED",
        "UPSTREAM_CANCELED",
        "DISABLED",
    }
)
# of newer answers, which may have no result but how the run was terminated
RESULTS: Final[Mapping[str, str]] = {
    "SUCCESS": SUCCESS,
    "USER_CANCELED": CANCELED,
    "CANCELED": CANCELED,
}
FAILED_BY: Final = frozenset({"CLIENT_ERROR", "CLOUD_FAILURE", "INTERNAL_ERROR"})
STATUS: Final = "STATUS"
LONGEST_WORD_CHARACTERS: Final = 100


@dataclass(frozen=True, slots=True)
class Status:
    """A run's state; `code` and `message` say why it failed or what ended it. `waits` tells that it has no GPU yet."""

    state: RunState
    word: str
    waits: bool = False
    code: str | None = None
    message: str | None = None


def read(run: Json) -> Status:
    """The state of a run; a life-cycle or result word that is not known here is `UNKNOWN`."""
    word = _life(run)
    if word in WAITING:
        return Status(RunState.QUEUED, word)
    if word == "RUNNING":
        waits = _life(task(run)) in WAITING
        return Status(RunState.QUEUED if waits else RunState.RUNNING, word, waits)
    if word == "TERMINATING":
        # it may have been training or not, and may have succeeded or not: QUEUED moves no job
        return Status(RunState.QUEUED, word)
    if word in {"SKIPPED", "INTERNAL_ERROR"}:
        return _failed(run, word, word)
    if word == "TERMINATED":
        return _ended(run)
    return Status(RunState.UNKNOWN, word)


def task(run: Json) -> Json:
    """The run's one task, in its last attempt; empty when the run has none."""
    tasks = run.get("tasks")
    attempts = [one for one in tasks if isinstance(one, Mapping)] if isinstance(tasks, list) else []
    return max(attempts, key=_attempt, default={})


def status_message(output: Json) -> str | None:
    """What AI Runtime wants the user to know while a task waits: its messages have a type, `STATUS: …`."""
    kind, colon, text = str(_inner(output, "ai_runtime_task_output").get("status_message") or "").partition(":")
    return text.strip(" .") or None if colon and kind.strip().upper() == STATUS else None


def _attempt(task: Json) -> int:
    number = task.get("attempt_number")
    return number if isinstance(number, int) else 0


def _ended(run: Json) -> Status:
    state, details = _inner(run, "state"), _details(run)
    result = str(state.get("result_state") or RESULTS.get(str(details.get("code")), ""))
    word = f"TERMINATED {result}".strip()[:LONGEST_WORD_CHARACTERS]
    if result == SUCCESS:
        return Status(RunState.SUCCEEDED, word)
    if result == CANCELED:
        return Status(RunState.CANCELLED, word, message=_message(run))
    if result in FAILURES or (not result and str(details.get("type")) in FAILED_BY):
        return _failed(run, word, result or "FAILED")
    return Status(RunState.UNKNOWN, word)


def _failed(run: Json, word: str, result: str) -> Status:
    """A failure with the task's code, or else the run's. TIMEDOUT goes before both, which then say CANCELED."""
    codes = [str(_details(one).get("code") or "") for one in (task(run), run)]
    code = next((code for code in codes if code), result)
    return Status(RunState.FAILED, word, code=result if result == TIMEDOUT else code, message=_message(run))


def _message(run: Json) -> str | None:
    for one in (task(run), run):
        for text in (_details(one).get("message"), _inner(one, "state").get("state_message")):
            if text:
                return str(text)
    return None


def _life(run: Json) -> str:
    word = _inner(run, "state").get("life_cycle_state") or _inner(run, "status").get("state")
    return str(word or "")[:LONGEST_WORD_CHARACTERS]


def _details(run: Json) -> Json:
    return _inner(_inner(run, "status"), "termination_details")


def _inner(parent: Json, key: str) -> Json:
    value = parent.get(key)
    return value if isinstance(value, Mapping) else {}
