"""Runs that stand still until they are told to go on."""

from typing import Any

from tests.emulator.clients import PACE, Client


async def names(client: Client, count: int) -> list[str]:
    like = await client.create()
    made = (await client.post("/emulator/finetunes", like=like, count=count)).json()["finetunes"]
    return [one["name"] for one in made]


async def listed(client: Client, wanted: list[str]) -> list[dict[str, Any]]:
    filters = {"name": {"in": wanted}}
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = await client.page(filters=filters, **({"cursor": cursor} if cursor else {}))
        found += page["finetunes"]
        cursor = page["cursor"]
        if cursor is None:
            return found


async def test_they_wait_however_long_and_are_listed_newest_first(client: Client) -> None:
    made = await names(client, 7)
    client.world.clock.advance(10 * PACE)

    runs = await listed(client, made)

    assert [run["name"] for run in runs] == made[::-1]
    assert {run["status"] for run in runs} == {"QUEUED"}


async def test_a_step_lets_them_run_one_after_another(client: Client) -> None:
    made = await names(client, 4)

    await client.post("/emulator/finetunes/step", names=made, seconds=8)
    client.world.clock.advance(4)

    assert [run["status"] for run in await listed(client, made)] == ["QUEUED", "RUNNING", "RUNNING", "RUNNING"]
    last = (await client.finetune(made[0]))["details"]["formattedFinetuningEvents"][-1]
    assert (last["eventType"], last["eventMessage"]) == (
        "TRAIN_UPDATED",
        "[epoch=1/1][batch=1/100][ETA=99min] Train loss: 1.30",
    )


async def test_they_end_as_told_and_only_once(client: Client) -> None:
    made = await names(client, 2)

    await client.post("/emulator/finetunes/end", names=made[:1])
    await client.post("/emulator/finetunes/end", names=made, reason="out of memory")
    runs = await listed(client, made)

    assert [(run["status"], run["reason"]) for run in runs] == [("FAILED", "out of memory"), ("COMPLETED", None)]
    assert [len(run["details"]["formattedFinetuningEvents"]) for run in runs] == [1, 1]


async def test_it_says_when_each_was_listed_and_how_much_was_asked(client: Client) -> None:
    made = await names(client, 4)
    await client.http.delete("/emulator/requests")
    await listed(client, made)
    client.world.clock.advance(5)
    await client.finetune(made[0])

    runs = {run["name"]: run["listed"] for run in (await client.get("/emulator/finetunes")).json()["finetunes"]}
    counted = (await client.get("/emulator/requests/count", operation="GetFinetunesPaginated")).json()

    assert [len(runs[name]) for name in made] == [2, 1, 1, 1]
    assert runs[made[0]][1] - runs[made[0]][0] == 5
    assert counted == {"count": 3}
