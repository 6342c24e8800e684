"""The hostile requests: what would be refused for its form alone measures nothing."""

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from graphql import parse, validate

from schema.api import build
from server.settings import Settings
from tests.bench import asking, data
from tests.bench.hostile import SAME_PAIRS, STATUSES, Attack, attacks, each, get, post

TITLES = [attack.title for attack in attacks()]


def bodies(attack: Attack) -> list[bytes]:
    return [request.partition(b"\r\n\r\n")[2] for request in attack.requests(8000)]


@pytest.mark.parametrize("title", TITLES)
def test_each_is_json_within_the_limit_of_a_body(title: str) -> None:
    [attack] = [attack for attack in attacks() if attack.title == title]

    for body in filter(None, bodies(attack)):
        assert len(body) <= Settings().max_body
        assert set(json.loads(body)) == {"query", "variables"}
    assert len(attack.requests(8000)) >= attack.at_once >= 1


@pytest.mark.parametrize("text", [STATUSES, SAME_PAIRS % 10])
def test_what_is_asked_is_valid(text: str) -> None:
    assert validate(build(), parse(text)) == []


def test_documents_of_one_attack_differ() -> None:
    texts = [bodies(attack) for attack in attacks()]

    assert [len(set(some)) for some in texts] == [len(some) for some in texts]


def test_a_get_carries_the_same_operation() -> None:
    [request] = get(STATUSES, n=[1, 1])(8000)

    target = urlsplit(request.split(b" ")[1].decode())
    assert parse_qs(target.query) == {"query": [STATUSES], "variables": ['{"n":[1,1]}']}
    assert target.path == "/graphql"


@pytest.mark.database
@pytest.mark.e2e
async def test_attacks_are_measured_one_by_one(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = [
        Attack("small", post("{ __typename }")),
        Attack("two at once", each(lambda: ["{ __typename }"] * 3), at_once=2),
    ]
    monkeypatch.setattr(asking, "attacks", lambda: some)
    monkeypatch.setattr(asking, "AFTER_SECONDS", 0.1)
    await data.fill(database_url, 200)

    measured = await asking.run(database_url, tmp_path)

    small = len(b'{"data":{"__typename":"Query"}}\n')
    assert [(held.title, held.requests, held.answered, held.response_bytes) for held in measured.attacks] == [
        ("small", 1, 1, small),
        ("two at once", 3, 3, small),
    ]
    assert measured.quiet > 0
    assert all(held.memory_bytes > 10_000_000 for held in measured.attacks)
