"""What calls of the SDK come to: answers, refusals for the caller to interpret, and outages."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.responses import JSONResponse

from server.databricks.errors import ApiError
from server.databricks.workspace import Workspace
from server.domain.errors import Unavailable
from tests.emulator.served import Emulator
from tests.server.databricks.conftest import TOKEN

if TYPE_CHECKING:
    from server.databricks.client import WorkspaceClient

ME = "/api/2.0/preview/scim/v2/Me"
STARTING = """
import sys
import server.__main__, server.assembly, server.databricks.workspace
import server.trainers.databricks.fmapi.trainer
import server.trainers.databricks.model_versions, server.trainers.databricks.mlflow_runs
sys.exit([name for name in sys.modules if name.split(".")[0] == "databricks"] != [])
"""
LOST: list[dict[str, Any]] = [
    {"kind": "reset"},
    {"kind": "timeout"},
    {"kind": "cut", "after": True},
    {"kind": "429", "retry_after": 0},
    {"kind": "429", "retry_after": 3600},
    {"kind": "error", "status": 500},
    {"kind": "error", "status": 503},
    {"kind": "html"},
    {"kind": "html", "status": 200},
    {"kind": "truncated", "after": True},
    {"kind": "error", "status": 401},
]


def opened(databricks: Emulator, **given: Any) -> Workspace:  # noqa: ANN401  (of the SDK's Config)
    authentication = given or {"token": TOKEN, "auth_type": "pat"}
    return Workspace(
        {"host": databricks.url, **authentication}, request_seconds=0.5, repeat_seconds=2, longest_pause_seconds=0.1
    )


def user(client: "WorkspaceClient") -> str | None:
    return client.current_user.me().user_name


async def failure(workspace: Workspace) -> Exception:
    with pytest.raises((ApiError, Unavailable)) as failed:
        await workspace.call_once(user)
    return failed.value


def test_starting_the_server_does_not_import_the_sdk() -> None:
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", STARTING], cwd=root, check=False, timeout=60).returncode == 0


async def test_calls_run_in_a_thread_and_answer(databricks: Emulator) -> None:
    def where(client: "WorkspaceClient") -> tuple[str | None, bool]:
        return user(client), threading.current_thread() is threading.main_thread()

    assert await opened(databricks).call(where) == ("me@example.com", False)
    [call] = databricks.requests.to(path=ME)
    assert call.headers["user-agent"].startswith("tunegraph/")


async def test_any_authentication_of_the_sdk_will_do(databricks: Emulator) -> None:
    workspace = opened(databricks, client_id="client", client_secret="secret")  # noqa: S106  (opens nothing)
    assert await workspace.call(user) == "client"
    assert await workspace.call_once(user) == "client"


@pytest.mark.parametrize("fault", LOST, ids=str)
async def test_an_answer_that_says_nothing_is_an_outage_and_the_request_is_sent_once(
    databricks: Emulator, fault: dict[str, Any]
) -> None:
    workspace = opened(databricks)
    databricks.faults.script(path=ME, times=None, **fault)
    failed = await failure(workspace)
    assert isinstance(failed, Unavailable), failed
    assert failed.retry_after == fault.get("retry_after")
    assert len(databricks.requests.to(path=ME)) == 1
    databricks.faults.clear()
    assert await workspace.call_once(user) == "me@example.com"


async def test_what_is_not_told_to_be_sent_once_is_repeated_by_the_sdk(databricks: Emulator) -> None:
    workspace = Workspace({"host": databricks.url, "token": TOKEN}, repeat_seconds=10, longest_pause_seconds=5)
    databricks.faults.script("reset", ME, after=True)
    assert await workspace.call(user) == "me@example.com"
    assert [call.fault for call in databricks.requests.to(path=ME)] == ["reset", None]


async def test_a_pause_that_is_too_long_is_left_to_the_caller(databricks: Emulator) -> None:
    databricks.faults.script("429", ME, retry_after=7)
    with pytest.raises(Unavailable, match="HTTP 429 RESOURCE_EXHAUSTED: Too many requests") as outage:
        await opened(databricks).call(user)
    assert outage.value.retry_after == 7
    assert len(databricks.requests.to(path=ME)) == 1


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"kind": "error", "status": 400}, 400, "INVALID_PARAMETER_VALUE"),
        ({"kind": "error", "status": 403}, 403, "PERMISSION_DENIED"),
        ({"kind": "error", "status": 403, "error_code": 403}, 403, ""),
        ({"kind": "error", "status": 404}, 404, "ENDPOINT_NOT_FOUND"),
        ({"kind": "error", "status": 410}, 410, "GONE"),
        ({"kind": "feature_disabled"}, 403, "FEATURE_DISABLED"),
        ({"kind": "feature_disabled", "status": 501}, 501, "FEATURE_DISABLED"),
        ({"kind": "html", "status": 404}, 404, None),
    ],
    ids=str,
)
async def test_a_refusal_keeps_its_status_and_word(
    databricks: Emulator, fault: dict[str, Any], status: int, code: str | None
) -> None:
    databricks.faults.script(path=ME, **fault)
    refused = await failure(opened(databricks))
    assert isinstance(refused, ApiError), refused
    assert (refused.status, refused.code) == (status, code)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"error_code": "BAD", "message": "an API's"}, "BAD", "an API's"),
        ({"error": "an old API's"}, "", "an old API's"),
        ({"detail": "SCIM's", "status": "400"}, "", "SCIM's"),
        (
            {"errors": [{"message": "GraphQL's", "extensions": {"code": "BAD_USER_INPUT"}}]},
            "BAD_USER_INPUT",
            "GraphQL's",
        ),
        ({"errors": [{"message": "GraphQL's"}]}, "", "GraphQL's"),
        ({"errors": ["no"]}, "", "Bad Request"),
        ([], None, "Bad Request"),
    ],
    ids=str,
)
async def test_every_form_of_an_error_is_read(
    databricks: Emulator, monkeypatch: pytest.MonkeyPatch, body: object, code: str | None, message: str
) -> None:
    monkeypatch.setattr("tests.emulator.gate.spoiled", lambda *_: JSONResponse(body, 400))
    databricks.faults.script("error", ME)
    refused = await failure(opened(databricks))
    assert isinstance(refused, ApiError)
    assert (refused.status, refused.code, refused.message) == (400, code, message)


@pytest.mark.parametrize("status", [401, 403, 500])
async def test_messages_have_no_secrets_and_nothing_of_the_configuration(databricks: Emulator, status: int) -> None:
    said = f"not for {TOKEN}\nnor Bearer abc.def-1, dapi00112233445566 or eyJhbGciOi.eyJzdWIi.c2ln"
    databricks.faults.script("error", ME, status=status, message=said)
    failed = await failure(opened(databricks))
    assert str(failed).endswith("not for *** nor Bearer *** *** or ***")


async def test_without_credentials_every_call_says_so(
    databricks: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))  # no command line tool that could log in
    workspace = Workspace({"host": databricks.url}, request_seconds=0.5, repeat_seconds=1)
    for call in (workspace.call, workspace.call_once):
        with pytest.raises(
            Unavailable, match=r"could not set up its authentication: .*cannot configure default"
        ) as raised:
            await call(user)
        assert databricks.url not in str(raised.value)


async def test_an_answer_that_makes_no_sense_is_an_outage_and_other_errors_stay_what_they_are(
    databricks: Emulator,
) -> None:
    def raising(error: Exception) -> Any:  # noqa: ANN401  (never answers)
        def function(_: "WorkspaceClient") -> None:
            raise error

        return function

    workspace = opened(databricks)
    for senseless in (KeyError("x"), TypeError("x"), ValueError("x"), AttributeError("x")):
        with pytest.raises(Unavailable, match=f"could not be understood .{type(senseless).__name__}"):
            await workspace.call(raising(senseless))
    with pytest.raises(FileNotFoundError):
        await workspace.call(raising(FileNotFoundError("train.jsonl")))
    with pytest.raises(ApiError, match=r"HTTP 404 NOT_FOUND: no \*\*\*"):
        await workspace.call(raising(ApiError(404, "NOT_FOUND", f"no {TOKEN}")))
    with pytest.raises(Unavailable, match="HTTP 500"):
        await workspace.call(raising(ApiError(500, "", "no")))


async def test_a_call_that_hangs_ends_when_its_time_is_over(databricks: Emulator) -> None:
    released = threading.Event()
    with pytest.raises(Unavailable, match=r"did not answer within 0\.05 seconds"):
        await opened(databricks).call(lambda _: released.wait(10), within=0.05)
    released.set()
