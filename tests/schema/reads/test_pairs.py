"""Pairs, their messages and the labels behind them; and what a training sheet's pairs would make."""

import pytest

from tests.schema.conftest import Api
from tests.schema.world import World

pytestmark = pytest.mark.database


async def test_messages_keep_their_order_and_every_character(api: Api, world: World) -> None:
    query = """{ trainingSheets(first: 2) { nodes { name qaPairs(first: 100) { nodes {
      id messages { content r: role } itemRef
    } } } } }"""
    spare, desk = (await api.ask(query))["trainingSheets"]["nodes"]
    assert spare == {"name": "spare", "qaPairs": {"nodes": []}}
    pairs = desk["qaPairs"]["nodes"]
    assert [pair["id"] for pair in pairs] == world.pairs
    assert pairs[0]["messages"] == [
        {"content": "Wann? 你好 🦓", "r": "user"},
        {"content": 'It\'s „due“ "now"\\\n\tor\u2028never', "r": "assistant"},
    ]
    assert [message["r"] for message in pairs[5]["messages"]] == ["system", "user", "assistant"]
    assert pairs[6]["messages"] == [{"content": "q6", "r": "user"}]
    assert [pair["itemRef"] for pair in pairs] == ["inv-1", *[None] * 7]


async def test_a_pair_and_the_label_behind_it(api: Api, world: World) -> None:
    query = """query ($id: ID!) { qaPair(id: $id) {
      status allowedUses prohibitedUses reviewedBy
      trainingSheet { id name sheet { name sourceLocation } template { name version systemPrompt userPrompt } }
      canonicalLabel { id version itemRef labelType allowedUses prohibitedUses sheet { name } }
    } }"""
    found = (await api.ask(query, id=world.pairs[7]))["qaPair"]
    everything = ["TRAINING", "VALIDATION", "EVALUATION", "FEW_SHOT", "TESTING"]
    sheet = {
        "id": world.training_sheet,
        "name": "invoice desk",
        "sheet": {"name": "invoices", "sourceLocation": "main.finance.invoices"},
        "template": {
            "name": "desk",
            "version": 1,
            "systemPrompt": "You answer for the invoice desk.",
            "userPrompt": "{question}",
        },
    }
    assert found == {
        "status": "LABELED",
        "allowedUses": everything,
        "prohibitedUses": [],
        "reviewedBy": "anna@example.com",
        "trainingSheet": sheet,
        "canonicalLabel": {
            "id": world.labels[2],
            "version": 1,
            "itemRef": "inv-2",
            "labelType": "answer",
            "allowedUses": ["VALIDATION"],
            "prohibitedUses": ["FEW_SHOT", "TESTING"],
            "sheet": {"name": "invoices"},
        },
    }
    unlabelled = (await api.ask(query, id=world.pairs[6]))["qaPair"]
    assert unlabelled == {
        "status": "REJECTED",
        "allowedUses": [],
        "prohibitedUses": [],
        "reviewedBy": "anna@example.com",
        "trainingSheet": sheet,
        "canonicalLabel": None,
    }
    moved = (await api.ask(query, id=world.pairs[2]))["qaPair"]
    assert (moved["reviewedBy"], moved["status"]) == (None, "UNLABELED")
    assert (moved["canonicalLabel"]["id"], moved["canonicalLabel"]["version"]) == (world.labels[1], 2)


async def test_what_the_gates_and_the_split_would_make_of_a_sheet(api: Api, world: World) -> None:
    query = """query ($desk: ID!, $spare: ID!) {
      desk: trainingSheet(id: $desk) {
        now: eligibility { totalPairs eligiblePairs trainPairs valPairs excluded { verdict n: count } }
        again: eligibility(trainValSplit: null, splitSeed: null) { eligiblePairs }
        other: eligibility(trainValSplit: 0.1, splitSeed: 7) { trainPairs }
      }
      spare: trainingSheet(id: $spare) { eligibility { totalPairs valPairs excluded { count } } }
    }"""
    assert await api.ask(query, desk=world.training_sheet, spare=world.other_training_sheet) == {
        "desk": {
            "now": {
                "totalPairs": 8,
                "eligiblePairs": 2,
                "trainPairs": 1,
                "valPairs": 1,
                "excluded": [
                    {"verdict": "NOT_LABELED", "n": 2},
                    {"verdict": "USE_PROHIBITED", "n": 1},
                    {"verdict": "USE_NOT_ALLOWED", "n": 2},
                    {"verdict": "MALFORMED", "n": 1},
                ],
            },
            "again": {"eligiblePairs": 2},
            "other": {"trainPairs": 1},
        },
        "spare": {"eligibility": {"totalPairs": 0, "valPairs": 0, "excluded": []}},
    }
