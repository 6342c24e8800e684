"""Lakebase's passwords and SQL statements."""

from tests.emulator.clients import START, Client
from tests.emulator.clock import iso


async def test_a_password_is_new_each_time_and_lasts_an_hour(client: Client) -> None:
    one = (await client.post("/api/2.0/postgres/credentials", endpoint="projects/p")).json()
    two = (await client.post("/api/2.0/database/credentials", instance_names=["lb"])).json()

    assert one["token"] != two["token"]
    assert (one["expire_time"], two["expiration_time"]) == (iso(START + 3600), iso(START + 3600))


async def test_a_statement_runs_on_an_empty_database(client: Client) -> None:
    good = (await client.post("/api/2.0/sql/statements", statement="select 1 + 1 as two, null")).json()
    bad = (await client.post("/api/2.0/sql/statements", statement="select * from absent")).json()

    assert (good["status"], good["result"]["data_array"]) == ({"state": "SUCCEEDED"}, [["2", None]])
    assert bad["status"]["state"] == "FAILED"
    assert bad["status"]["error"]["message"] == "no such table: absent"
