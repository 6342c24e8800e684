"""Calls go wrong as scripted, with or without their effect, over real connections."""

import asyncio
import functools
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.emulator.clients import CREATE, START, Client
from tests.emulator.fmapi import PATH
from tests.emulator.served import Emulator, emulator
from tests.waiting import until

EXPERIMENTS = "/api/2.0/mlflow/experiments/create"
SUBMIT = "/api/2.2/jobs/runs/submit"
RETIRED = "Foundation Model Fine-tuning is not enabled for this workspace."


@pytest.fixture
async def served() -> AsyncIterator[Emulator]:
    async with emulator(held_at=START, pace=100.0) as served:
        yield served


@pytest.fixture
async def client(served: Emulator) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {served.token}"}
    async with httpx.AsyncClient(base_url=served.url, headers=headers, timeout=0.3) as http:
        yield Client(http, served.world)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("kind", "error"), [("timeout", httpx.ReadTimeout), ("reset", httpx.ReadError), ("cut", httpx.TransportError)]
)
async def test_a_connection_fails_before_or_after_the_effect(
    served: Emulator, client: Client, kind: str, error: type[Exception], *, after: bool
) -> None:
    served.faults.script(kind, EXPERIMENTS, after=after)
    with pytest.raises(error):
        await client.post(EXPERIMENTS, name="/e")

    assert [one.name for one in served.world.tracking.experiments.values()] == (["/e"] if after else [])
    [call] = served.requests.to("POST", EXPERIMENTS)
    assert (call.fault, call.status, call.body) == (kind, None, {"name": "/e"})
    assert (await client.post(EXPERIMENTS, name="/f")).status_code == 200


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("kind", "given", "status", "told"),
    [
        ("429", {"retry_after": 7}, 429, '{"error_code":"RESOURCE_EXHAUSTED","message":"Too many requests."}'),
        ("error", {}, 500, '{"error_code":"INTERNAL_ERROR","message":"An internal error occurred."}'),
        (
            "error",
            {"status": 404},
            404,
            f'{{"error_code":"ENDPOINT_NOT_FOUND","message":"No API found for \'POST {SUBMIT}\'"}}',
        ),
        ("error", {"status": 410}, 410, '{"error_code":"GONE","message":"This API has been retired."}'),
        ("error", {"status": 403, "error_code": "X", "message": "y"}, 403, '{"error_code":"X","message":"y"}'),
        (
            "feature_disabled",
            {},
            403,
            f'{{"error_code":"FEATURE_DISABLED","message":"{RETIRED}"}}',
        ),
    ],
)
async def test_an_answer_is_replaced_before_or_after_the_effect(
    client: Client, kind: str, given: dict[str, Any], status: int, told: str, *, after: bool
) -> None:
    client.world.faults.script(kind, SUBMIT, after=after, **given)
    answer = await client.submit()

    assert (answer.status_code, answer.text) == (status, told)
    assert answer.headers.get("retry-after") == ("7" if status == 429 else None)
    assert len(client.world.training_runs.runs) == (1 if after else 0)
    assert (await client.submit()).status_code == 200
    assert len(client.world.training_runs.runs) == 1


async def test_a_proxy_s_page_and_a_body_that_ends_too_early(client: Client) -> None:
    client.world.faults.script("html", SUBMIT)
    client.world.faults.script("truncated", SUBMIT, after=True)
    page, cut = await client.submit(), await client.submit()

    assert (page.status_code, page.headers["content-type"]) == (502, "text/html; charset=utf-8")
    assert page.text.startswith("<html>")
    assert cut.status_code == 200
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        cut.json()


async def test_an_unknown_word_stands_for_every_status(client: Client) -> None:
    name = await client.create()
    run_id = (await client.submit()).json()["run_id"]
    client.world.faults.script("unknown_status", word="DREAMING", times=2)
    finetune, run = await client.finetune(name), await client.run(run_id)

    assert (finetune["name"], finetune["status"]) == (name, "DREAMING")
    assert run["state"]["life_cycle_state"] == "DREAMING"
    assert run["tasks"][0]["status"]["state"] == "DREAMING"
    assert (await client.finetune(name))["status"] == "PENDING"


async def test_a_fault_strikes_one_operation_so_many_times(client: Client) -> None:
    client.world.faults.script("graphql_error", PATH, operation="CreateFinetune", times=2, status=503, message="No.")
    variables: dict[str, Any] = {"createFinetuneData": {}}
    for _ in range(2):
        answer = await client.post(PATH, query=CREATE, variables=variables)
        assert answer.status_code == 200
        assert answer.json() == {"data": None, "errors": [{"message": "No.", "extensions": {"code": 503}}]}
        assert (await client.page())["finetunes"] == []
    assert await client.create()
    created = client.world.requests.to(operation="CreateFinetune")
    assert [call.fault for call in created] == ["graphql_error", "graphql_error", None]


async def test_a_fault_for_ever_ends_when_cleared(client: Client) -> None:
    client.world.faults.script("error", times=None, status=503)
    assert [(await client.submit()).status_code for _ in range(3)] == [503, 503, 503]
    client.world.faults.clear()
    assert (await client.submit()).status_code == 200


async def _hangs(served: Emulator) -> bool:
    return bool(served.faults.hanging)


async def test_clearing_ends_calls_that_hang(served: Emulator, client: Client) -> None:
    served.faults.script("timeout", SUBMIT)
    client.http.timeout = httpx.Timeout(10.0)
    hangs = asyncio.create_task(client.submit())
    await until(functools.partial(_hangs, served))
    served.faults.clear()

    with pytest.raises(httpx.ReadError):
        await hangs


async def test_a_process_is_steered_over_http(served: Emulator, client: Client) -> None:
    fault = {"kind": "error", "path": SUBMIT, "status": 500}
    assert (await client.post("/emulator/faults", **fault)).status_code == 200
    assert (await client.submit()).status_code == 500
    assert (await client.post("/emulator/clock", advance=5)).json()["seconds"] == START + 5
    assert (await client.post("/emulator/clock", advance=-1)).status_code == 400
    assert (await client.post("/emulator/faults", kind="flood")).status_code == 400
    assert (await client.post("/emulator/outcomes", match="x", fails_at=0.5)).json()["times"] == 1
    [outcome] = served.outcomes.scripted
    assert (outcome.match, outcome.fails_at) == ("x", 0.5)
    recorded = (await client.get("/emulator/requests", method="POST")).json()["requests"]
    assert [(call["path"], call["status"], call["fault"]) for call in recorded] == [(SUBMIT, 500, "error")]
    assert (await client.http.delete("/emulator/requests")).status_code == 200
    assert len(served.requests) == 0


async def test_it_ends_at_once_though_a_call_hangs() -> None:
    async with emulator() as served, httpx.AsyncClient(base_url=served.url, timeout=10.0) as http:
        served.faults.script("timeout")
        hangs = asyncio.create_task(http.get("/"))
        await until(functools.partial(_hangs, served))
        began = time.monotonic()
    with pytest.raises(httpx.ReadError):
        await hangs
    assert time.monotonic() - began < 3
