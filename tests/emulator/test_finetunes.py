"""FMAPI's runs are found by what they are, a page at a time."""

from typing import Any

from tests.emulator.clients import PACE, Client

DELETE = """mutation DeleteFinetunes($getFinetunesData: GetFinetunesInput!) {
  deleteFinetunes(getFinetunesData: $getFinetunesData) { name isDeleted } }"""


async def test_pages_follow_the_cursor_to_the_end_newest_first(client: Client) -> None:
    names = []
    for _ in range(7):
        client.world.clock.advance(1)
        names.append(await client.create())
    seen, cursor, sizes = [], None, []
    while True:
        page = await client.page(limit=100, **({"cursor": cursor} if cursor else {}))
        seen += [one["name"] for one in page["finetunes"]]
        sizes.append(len(page["finetunes"]))
        cursor = page["cursor"]
        if not page["hasNextPage"]:
            break

    assert seen == names[::-1]
    assert sizes == [3, 3, 1]


async def test_filters_select(client: Client) -> None:
    one = await client.create("/Users/me/one")
    client.world.clock.advance(3)
    two = await client.create("/Users/me/two")
    experiment = (await client.finetune(one))["details"]["experimentTracker"]["mlflow"]["mlflowExperimentId"]

    async def found(**asked: Any) -> list[str]:  # noqa: ANN401
        return [each["name"] for each in (await client.page(**asked))["finetunes"]]

    assert await found(filters={"name": {"in": [one, "nobody"]}}) == [one]
    assert await found(filters={"mlflowExperimentId": {"equals": experiment}}) == [one]
    assert await found(filters={"status": {"in": ["PENDING", "RUNNING"]}}) == [two]
    assert await found(filters={"status": {"in": ["QUEUED"]}, "name": {"in": [two]}}) == []
    assert await found(filters={"createdAt": {"gte": "2026-11-18T11:06:41+00:00"}}) == [two]
    assert await found(filters={"createdAt": {"lt": "2026-11-18T11:06:41+00:00"}}) == [one]
    assert await found(entity={"emails": ["me@example.com"]}) == [two, one]
    assert await found(entity={"emails": ["you@example.com"]}) == []


async def test_deleted_runs_are_hidden_unless_asked_for(client: Client) -> None:
    name = await client.create()
    client.world.clock.advance(PACE)
    deleted = await client.graphql(DELETE, getFinetunesData={"filters": {"name": {"in": [name]}}})

    assert deleted == [{"name": name, "isDeleted": True}]
    assert (await client.page())["finetunes"] == []
    assert [one["name"] for one in (await client.page(includeDeleted=True))["finetunes"]] == [name]
