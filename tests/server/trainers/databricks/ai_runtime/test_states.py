from typing import Any

import pytest
from databricks.sdk.service.jobs import (
    RunLifeCycleState,
    RunLifecycleStateV2State,
    RunResultState,
)
from hypothesis import given
from hypothesis import strategies as st

from server.domain.status import RunState
from server.trainers.databricks.ai_runtime import states

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def run(life: str, result: str | None = None, *, task: str | None = None, **details: str) -> dict[str, Any]:
    """A run as runs/get tells of it; `details` are those of its termination."""
    state = {"life_cycle_state": life, **({"result_state": result} if result else {})}
    found: dict[str, Any] = {"run_id": 1, "state": state, "status": {"termination_details": details}}
    if task is not None:
        found["tasks"] = [{"run_id": 2, "state": {"life_cycle_state": task}}]
    return found


@pytest.mark.parametrize(
    ("life", "task", "state", "waits"),
    [
        ("QUEUED", "QUEUED", RunState.QUEUED, False),
        ("PENDING", "PENDING", RunState.QUEUED, False),
        ("BLOCKED", None, RunState.QUEUED, False),
        ("WAITING_FOR_RETRY", None, RunState.QUEUED, False),
        ("RUNNING", "PENDING", RunState.QUEUED, True),
        ("RUNNING", "QUEUED", RunState.QUEUED, True),
        ("RUNNING", "RUNNING", RunState.RUNNING, False),
        ("RUNNING", "TERMINATED", RunState.RUNNING, False),
        ("RUNNING", None, RunState.RUNNING, False),
        ("TERMINATING", "RUNNING", RunState.QUEUED, False),
        ("HIBERNATING", "RUNNING", RunState.UNKNOWN, False),
        ("", None, RunState.UNKNOWN, False),
    ],
)
def test_a_run_on_its_way(life: str, task: str | None, state: RunState, waits: bool) -> None:  # noqa: FBT001
    read = states.read(run(life, task=task))
    assert (read.state, read.word, read.waits, read.code) == (state, life, waits, None)


@pytest.mark.parametrize(
    ("life", "result", "state"),
    [
        ("TERMINATED", "SUCCESS", RunState.SUCCEEDED),
        ("TERMINATED", "CANCELED", RunState.CANCELLED),
        ("TERMINATED", "FAILED", RunState.FAILED),
        ("TERMINATED", "TIMEDOUT", RunState.FAILED),
        ("TERMINATED", "SUCCESS_WITH_FAILURES", RunState.FAILED),
        ("TERMINATED", "UPSTREAM_CANCELED", RunState.FAILED),
        ("TERMINATED", "HIBERNATED", RunState.UNKNOWN),
        ("TERMINATED", None, RunState.UNKNOWN),
        ("INTERNAL_ERROR", "FAILED", RunState.FAILED),
        ("INTERNAL_ERROR", None, RunState.FAILED),
        ("SKIPPED", None, RunState.FAILED),
        ("HIBERNATING", "SUCCESS", RunState.UNKNOWN),
    ],
)
def test_a_run_that_is_over(life: str, result: str | None, state: RunState) -> None:
    assert states.read(run(life, result)).state is state


def test_every_word_that_the_sdk_knows_is_known() -> None:
    for life in RunLifeCycleState:
        for result in RunResultState:
            assert states.read(run(life.value, result.value)).state is not RunState.UNKNOWN
    for newer in RunLifecycleStateV2State:
        code = {"code": "SUCCESS", "type": "SUCCESS"}
        told = {"run_id": 1, "status": {"state": newer.value, "termination_details": code}}
        assert states.read(told).state is not RunState.UNKNOWN


@pytest.mark.parametrize(
    ("details", "state"),
    [
        ({"code": "SUCCESS", "type": "SUCCESS"}, RunState.SUCCEEDED),
        ({"code": "USER_CANCELED", "type": "SUCCESS"}, RunState.CANCELLED),
        ({"code": "DRIVER_ERROR", "type": "CLOUD_FAILURE"}, RunState.FAILED),
        ({"code": "SOMETHING_NEW", "type": "CLIENT_ERROR"}, RunState.FAILED),
        ({"code": "SOMETHING_NEW", "type": "SOMETHING_ELSE"}, RunState.UNKNOWN),
        ({}, RunState.UNKNOWN),
    ],
)
def test_answers_without_the_older_state_are_read_too(details: dict[str, str], state: RunState) -> None:
    told = {"run_id": 1, "status": {"state": "TERMINATED", "termination_details": details}}
    assert states.read(told).state is state


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (run("TERMINATED", "FAILED", code="RUN_EXECUTION_ERROR"), "RUN_EXECUTION_ERROR"),
        (run("TERMINATED", "FAILED"), "FAILED"),
        (run("TERMINATED", "FAILED", code="A_CODE_OF_TOMORROW"), "A_CODE_OF_TOMORROW"),
        (run("TERMINATED", "TIMEDOUT", code="CANCELED"), "TIMEDOUT"),
        (run("INTERNAL_ERROR", "FAILED", code="CLOUD_FAILURE"), "CLOUD_FAILURE"),
        (run("INTERNAL_ERROR"), "INTERNAL_ERROR"),
        (run("SKIPPED", code="MAX_JOB_QUEUE_SIZE_EXCEEDED"), "MAX_JOB_QUEUE_SIZE_EXCEEDED"),
        (run("SKIPPED"), "SKIPPED"),
    ],
)
def test_why_it_failed_is_the_termination_code(told: dict[str, Any], code: str) -> None:
    assert states.read(told).code == code


def test_the_task_says_more_than_its_run() -> None:
    told = run("TERMINATED", "FAILED", code="RUN_EXECUTION_ERROR", message="Task train failed.")
    told["tasks"] = [
        {
            "attempt_number": 1,
            "status": {"termination_details": {"code": "LIBRARY_INSTALLATION_ERROR", "message": "m"}},
        },
        {"attempt_number": 0, "status": {"termination_details": {"code": "CLOUD_FAILURE", "message": "n"}}},
    ]
    read = states.read(told)
    assert (read.code, read.message) == ("LIBRARY_INSTALLATION_ERROR", "m")
    told["tasks"] = []
    read = states.read(told)
    assert (read.code, read.message) == ("RUN_EXECUTION_ERROR", "Task train failed.")


def test_a_cancelled_run_has_a_reason_and_no_code() -> None:
    told = run("TERMINATED", "CANCELED", code="USER_CANCELED", message="Run cancelled.")
    read = states.read(told)
    assert (read.state, read.code, read.message) == (RunState.CANCELLED, None, "Run cancelled.")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("STATUS: Waiting for GPU capacity", "Waiting for GPU capacity"),
        ("status:waiting", "waiting"),
        ("STATUS: Waiting for GPU capacity.", "Waiting for GPU capacity"),
        ("STATUS:", None),
        ("BILLING: something of tomorrow", None),
        ("Waiting", None),
        ("", None),
        (None, None),
    ],
)
def test_only_status_messages_are_about_the_status(text: str | None, told: str | None) -> None:
    assert states.status_message({"ai_runtime_task_output": {"status_message": text}}) == told


WORDS = st.sampled_from(["RUNNING", "TERMINATED", "INTERNAL_ERROR", "TERMINATING", "HIBERNATING", ""])
STATE = st.fixed_dictionaries({"life_cycle_state": WORDS}, optional={"result_state": JSON, "state_message": JSON})
DETAILS = st.dictionaries(st.sampled_from(["code", "type", "message"]), JSON)
STATUS = st.fixed_dictionaries({}, optional={"state": WORDS | JSON, "termination_details": DETAILS | JSON})
TASK = st.fixed_dictionaries({}, optional={"state": STATE | JSON, "status": STATUS | JSON, "attempt_number": JSON})
TOLD = {"state": STATE | JSON, "status": STATUS | JSON, "tasks": st.lists(TASK | JSON) | JSON}


@given(st.fixed_dictionaries({}, optional=TOLD))
def test_no_answer_is_too_strange_to_be_read(told: dict[str, Any]) -> None:
    read = states.read(told)
    assert read.state in RunState
    assert len(read.word) <= states.LONGEST_WORD_CHARACTERS
