"""The clients that the project itself uses work against the emulator."""

import pytest

from tests.emulator.served import emulator
from tests.wire import scripts

TRAINED_STATES = [
    ["QUEUED", "QUEUED", ""],
    ["PENDING", "PENDING", ""],
    ["RUNNING", "PENDING", ""],
    ["RUNNING", "RUNNING", ""],
    ["TERMINATED", "TERMINATED", "SUCCESS"],
]


@pytest.mark.timeout(120)
async def test_databricks_sdk_works_from_upload_to_alias() -> None:
    async with emulator(pace=60.0) as databricks:
        seen = await scripts.run("sdk_client", databricks)

    assert seen["user"] == "me@example.com"
    listed = [f"/Volumes/main/ft/data/{name}" for name in ("folder/", "train.jsonl", "validation.jsonl")]
    assert seen["files"] == {"same": True, "size": True, "listed": listed}
    assert seen["command"] == "python train.py\n"
    trained = seen["trained"]
    assert trained["same_run"] is True
    assert trained["states"] == TRAINED_STATES
    assert trained["ended"] == {"code": "SUCCESS", "message": "", "type": "SUCCESS"}
    assert trained["steps"] == list(range(1, 11))
    assert trained["run"] == "FINISHED"
    assert trained["experiment"] == "/Users/me@example.com/wire"
    assert seen["registered"] == {
        "version": 1,
        "run": trained["tracked"],
        "aliased": 1,
        "names": ["main.ft.other", "main.ft.wire"],
    }
    assert seen["cancelled"] == [["TERMINATING", "TERMINATING", ""], ["TERMINATED", "TERMINATED", "CANCELED"]]
    assert seen["runs"] == 2
    assert seen["refused"] == ["NotFound", "ResourceDoesNotExist", "ResourceDoesNotExist", "ResourceDoesNotExist"]


@pytest.mark.timeout(120)
async def test_databricks_sdk_authenticates_as_a_service_principal() -> None:
    async with emulator(pace=60.0, client_id="principal", client_secret="hush") as databricks:  # noqa: S106
        seen = await scripts.run("principal_client", databricks, DATABRICKS_CLIENT_ID="principal", CLIENT_SECRET="hush")  # noqa: S106
        [asked] = databricks.requests.to("POST", "/oidc/v1/token")

    assert seen == {"user": "principal", "models": 4}
    assert asked.body == "grant_type=client_credentials&scope=all-apis"


@pytest.mark.timeout(120)
async def test_mlflow_works_from_run_to_model_version() -> None:
    async with emulator(pace=60.0) as databricks:
        seen = await scripts.run("mlflow_client", databricks)
        [created] = databricks.requests.to("POST", "*/model-versions/create")

    assert seen["tracked"] == {
        "by_name": True,
        "points": [500, 499],
        "odd": "nan",
        "refused": "INVALID_PARAMETER_VALUE",
        "found": 1,
        "not_found": 0,
        "status": "FINISHED",
    }
    assert seen["artifacts"] == {"listed": ["notes/note.txt"], "read": "hi"}
    assert seen["models"] == {
        "version": ["1", "READY", True],
        "aliased": ["1", "described", {"k": "v"}],
        "found": ["1"],
        "aliases": {"champion": "1"},
    }
    assert created.body["run_tracking_server_id"] == "999"
