"""Answers that are not quite what they should be."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from server.databricks.errors import ApiError
from server.databricks.workspace import Workspace
from server.domain.errors import Unavailable
from server.domain.status import RunState
from server.trainers.databricks.fmapi import calls, operations, runs
from server.trainers.databricks.fmapi.catalogue import Catalogue

MIDNIGHT = datetime(2026, 11, 23, tzinfo=UTC)


@dataclass
class Saying:
    """A workspace, its client and the client's way to call, which answers in one way."""

    answer: Any
    calls: int = 0

    async def call(self, function: Any, *, within: float = 1.0) -> Any:  # noqa: ANN401, ARG002  (as the workspace's)
        return function(self)

    @property
    def api_client(self) -> "Saying":
        return self

    def do(self, method: str, path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401
        self.calls += 1
        assert (method, path, sorted(body)) == ("POST", operations.ENDPOINT, ["query", "variables"])
        return self.answer


def saying(answer: object) -> Workspace:
    return cast("Workspace", Saying(answer))


def page(*listed: object) -> Workspace:
    return saying(
        {"data": {"getFinetunesPaginated": {"cursor": None, "hasNextPage": False, "finetunes": list(listed)}}}
    )


async def test_a_run_needs_no_more_than_a_name() -> None:
    found = await runs.named(page({"name": "ift-1"}, {"name": "ift-2", "status": "SLEEPING"}), ["ift-1", "ift-2"])
    assert found["ift-1"].state is found["ift-2"].state is RunState.UNKNOWN
    assert (found["ift-1"].events, found["ift-1"].mlflow_run_id, found["ift-2"].status) == ([], None, "SLEEPING")


async def test_what_can_not_be_read_is_left_out() -> None:
    details = {
        "trainingDuration": 3,
        "experimentTracker": {"mlflow": {"mlflowRunId": 7}},
        "formattedFinetuningEvents": [
            None,
            {"eventType": None},
            {"eventType": "X", "eventTime": "2026-11-23T00:00:00"},
        ],
    }
    told = {"name": "ift-1", "status": "RUNNING", "startedAt": "yesterday", "createdAt": 1, "details": details}
    [run] = (await runs.named(page(told, None, {"status": "RUNNING"}, {"name": "ift-2"}), ["ift-1"])).values()
    assert (run.started_at, run.created_at, run.duration, run.mlflow_run_id) == (None, None, None, None)
    assert [(event.kind, event.message) for event in run.events] == [("EVENT", ""), ("X", "")]
    assert run.events[1].at == MIDNIGHT


@pytest.mark.parametrize("details", [None, "", {"experimentTracker": None}, {"experimentTracker": {"mlflow": []}}])
async def test_details_may_be_missing(details: object) -> None:
    [run] = (await runs.named(page({"name": "ift-1", "status": "QUEUED", "details": details}), ["ift-1"])).values()
    assert run.state is RunState.QUEUED


async def test_pages_that_bring_nothing_new_come_to_an_end() -> None:
    again = {"cursor": "SAME", "hasNextPage": True, "finetunes": [{"name": "ift-1"}]}
    workspace = Saying({"data": {"getFinetunesPaginated": again}})
    assert set(await runs.named(cast("Workspace", workspace), ["ift-1", "ift-2"])) == {"ift-1"}
    assert workspace.calls == 2
    assert set(await runs.named(cast("Workspace", workspace), ["ift-1", "ift-1"])) == {"ift-1"}
    assert workspace.calls == 3


async def test_of_an_experiments_runs_the_first_is_the_jobs() -> None:
    later, first = ({"name": name, "createdAt": f"2026-11-{day}T00:00:00Z"} for name, day in (("a", 24), ("b", 23)))
    assert await runs.of_experiment(page(later, first), "1") == "b"
    assert await runs.of_experiment(page(), "1") is None


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {},
        {"data": None},
        {"data": []},
        {"data": {"getFinetunesPaginated": None}},
        {"data": {"getFinetunesPaginated": {"finetunes": None}}},
        {"data": {"getFinetunesPaginated": []}},
    ],
    ids=str,
)
async def test_an_answer_without_runs_is_not_the_answer_that_there_are_none(answer: object) -> None:
    with pytest.raises(Unavailable):
        await runs.named(saying(answer), ["ift-1"])
    with pytest.raises(Unavailable):
        await runs.of_experiment(saying(answer), "1")


@pytest.mark.parametrize("answer", [{}, [], None, "", {"name": ""}, {"name": 7}], ids=str)
def test_a_created_run_without_a_name_is_an_outage(answer: object) -> None:
    with pytest.raises(Unavailable):
        runs.name_of(answer)


@pytest.mark.parametrize(
    ("errors", "status", "code"),
    [
        ([{"message": "no", "extensions": {"code": 404}}], 404, ""),
        ([{"message": "no", "extensions": {"code": "404"}}], 404, ""),
        ([{"message": "no", "extensions": {"code": "FORBIDDEN"}}], 403, "FORBIDDEN"),
        ([{"message": "no", "extensions": {"code": "SOMETHING"}}], 500, "SOMETHING"),
        ([{"message": "no"}], 500, ""),
        (["no"], 500, ""),
        ({"message": "no", "extensions": None}, 500, ""),
        ([{"message": "a", "extensions": {"code": 400}}, {"message": "b", "extensions": {"code": 503}}], 503, ""),
        ([{"message": "no"}, {"message": "b", "extensions": {"code": "FEATURE_DISABLED"}}], 403, "FEATURE_DISABLED"),
        ([{"message": "Bad run request: x is a required field"}], 400, ""),
    ],
)
async def test_errors_of_graphql_are_taken_for_what_their_code_says(errors: object, status: int, code: str) -> None:
    with pytest.raises(ApiError) as refusal:
        await calls.ask(saying({"data": None, "errors": errors}), operations.models())
    assert (refusal.value.status, refusal.value.code) == (status, code)


async def test_models_without_a_name_are_left_out() -> None:
    listed = [{"name": "a/b", "maxContextLength": "long"}, {"name": None}, None, {"name": "c/d", "maxContextLength": 8}]
    models = await Catalogue(saying({"data": {"getFinetuneConstants": {"models": listed}}})).ask()
    assert [(model.name, model.display_name, model.max_context_length) for model in models] == [
        ("a/b", "a/b", None),
        ("c/d", "c/d", 8),
    ]
