"""Models, versions and aliases: Unity Catalog's view and MLflow's show the same."""

import pytest

from tests.emulator.clients import Client

MODELS = "/api/2.1/unity-catalog/models"
MLFLOW = "/api/2.0/mlflow/unity-catalog"
NAMES = {"catalog_name": "main", "schema_name": "ft"}


async def _model(client: Client, versions: int = 0) -> None:
    assert (await client.post(MODELS, **NAMES, name="m", comment="c")).status_code == 200
    for number in range(versions):
        made = await client.post(f"{MODELS}/versions", **NAMES, model_name="m", source="dbfs:/m", run_id=f"r{number}")
        assert made.json()["status"] == "PENDING_REGISTRATION"


async def test_a_model_is_made_once_updated_and_deleted(client: Client) -> None:
    await _model(client)
    again = await client.post(MODELS, **NAMES, name="m")
    assert (again.status_code, again.json()["error_code"]) == (409, "RESOURCE_ALREADY_EXISTS")
    await client.http.patch(f"{MODELS}/main.ft.m", json={"comment": "new"})
    found = (await client.get(f"{MODELS}/main.ft.m")).json()
    assert (found["full_name"], found["comment"], found["owner"]) == ("main.ft.m", "new", "me@example.com")
    assert [one["name"] for one in (await client.get(MODELS, **NAMES)).json()["registered_models"]] == ["m"]
    assert (await client.get(MODELS, catalog_name="other")).json()["registered_models"] == []
    assert (await client.http.delete(f"{MODELS}/main.ft.m")).status_code == 200
    gone = await client.get(f"{MODELS}/main.ft.m")
    assert (gone.status_code, gone.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


async def test_versions_are_numbered_paged_and_finalized(client: Client) -> None:
    await _model(client, versions=3)
    first = (await client.get(f"{MODELS}/main.ft.m/versions", max_results=2)).json()
    second = (await client.get(f"{MODELS}/main.ft.m/versions", page_token=first["next_page_token"])).json()
    assert [one["version"] for one in first["model_versions"] + second["model_versions"]] == [3, 2, 1]

    finalized = await client.http.patch(f"{MODELS}/main.ft.m/versions/2/finalize", json={})
    assert (finalized.json()["status"], finalized.json()["run_id"]) == ("READY", "r1")
    assert (await client.http.delete(f"{MODELS}/main.ft.m/versions/3")).status_code == 200
    await client.post(f"{MODELS}/versions", **NAMES, model_name="m", source="dbfs:/m")
    numbers = [one["version"] for one in (await client.get(f"{MODELS}/main.ft.m/versions")).json()["model_versions"]]
    assert numbers == [4, 2, 1]


async def test_an_alias_moves_from_version_to_version(client: Client) -> None:
    await _model(client, versions=2)
    alias = f"{MODELS}/main.ft.m/aliases/champion"
    for number in (1, 2):
        answer = await client.http.put(alias, json={"version_num": number})
        assert answer.json() == {**NAMES, "model_name": "m", "alias_name": "champion", "version_num": number}
    assert (await client.get(alias)).json()["version"] == 2
    model = (await client.get(f"{MODELS}/main.ft.m", include_aliases="true")).json()
    assert [(one["alias_name"], one["version_num"]) for one in model["aliases"]] == [("champion", 2)]
    assert (await client.http.delete(alias)).status_code == 200
    assert (await client.get(alias)).status_code == 404


@pytest.mark.parametrize("alias", ["latest", "v3"])
async def test_reserved_aliases_are_refused(client: Client, alias: str) -> None:
    await _model(client, versions=1)
    answer = await client.http.put(f"{MODELS}/main.ft.m/aliases/{alias}", json={"version_num": 1})

    assert (answer.status_code, client.world.registry.get("main.ft.m").aliases) == (400, {})


async def test_an_alias_needs_its_version(client: Client) -> None:
    await _model(client)
    answer = await client.http.put(f"{MODELS}/main.ft.m/aliases/champion", json={"version_num": 1})

    assert answer.json()["message"] == "Model version '1' of 'main.ft.m' does not exist."


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ({"catalog_name": "none", "schema_name": "ft"}, "CATALOG_DOES_NOT_EXIST"),
        ({"catalog_name": "main", "schema_name": "none"}, "SCHEMA_DOES_NOT_EXIST"),
    ],
)
async def test_a_model_needs_its_schema(client: Client, names: dict[str, str], code: str) -> None:
    answer = await client.post(MODELS, **names, name="m")

    assert (answer.status_code, answer.json()["error_code"]) == (404, code)


async def test_mlflow_sees_what_unity_catalog_made_and_the_other_way(client: Client) -> None:
    await _model(client)
    created = await client.post(f"{MLFLOW}/model-versions/create", name="main.ft.m", source="/m", run_id="r")
    assert created.json()["model_version"]["version"] == "1"
    await client.post(f"{MLFLOW}/registered-models/alias", name="main.ft.m", alias="champion", version="1")
    assert (await client.get(f"{MODELS}/main.ft.m/aliases/champion")).json()["run_id"] == "r"
    await client.post(f"{MLFLOW}/model-versions/finalize", name="main.ft.m", version="1")
    assert (await client.get(f"{MODELS}/main.ft.m/versions/1")).json()["status"] == "READY"
    searched = (await client.get(f"{MLFLOW}/model-versions/search", filter="name = 'main.ft.m'")).json()
    assert searched["model_versions"][0]["aliases"] == [{"alias": "champion", "version": "1"}]
    assert (await client.get(f"{MLFLOW}/model-versions/search", filter="run_id = 'r'")).status_code == 400
