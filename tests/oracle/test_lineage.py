"""What the oracle says of pairs, of jobs' lineage and of their history."""

import base64

import pytest

from tests.oracle.asking import data
from tests.oracle.oracle import Oracle
from tests.schema.rows import rfc3339
from tests.schema.world import RICH, World

pytestmark = pytest.mark.database


async def test_verdicts_take_the_label_into_account(oracle: Oracle, world: World) -> None:
    text = "query($id: ID!) { trainingSheet(id: $id) { qaPairs { nodes { id verdict canonicalLabel { id } } } } }"
    found = await data(oracle, text, id=world.training_sheet)
    _, new, strict = world.labels
    verdicts = [
        ("ELIGIBLE", new),
        ("ELIGIBLE", None),
        ("NOT_LABELED", new),
        ("USE_PROHIBITED", None),
        ("USE_NOT_ALLOWED", None),
        ("MALFORMED", None),
        ("NOT_LABELED", None),
        ("USE_NOT_ALLOWED", strict),
    ]
    assert found["trainingSheet"]["qaPairs"]["nodes"] == [
        {"id": pair, "verdict": verdict, "canonicalLabel": None if label is None else {"id": label}}
        for pair, (verdict, label) in zip(world.pairs, verdicts, strict=True)
    ]


async def test_eligibility_counts_and_splits(oracle: Oracle, world: World) -> None:
    text = """query($id: ID!, $other: ID!) {
        one: trainingSheet(id: $id) {
            eligibility { totalPairs eligiblePairs trainPairs valPairs excluded { verdict count } }
        }
        none: trainingSheet(id: $other) {
            eligibility(trainValSplit: 0.5, splitSeed: 3) { totalPairs trainPairs valPairs }
        }
    }"""
    assert await data(oracle, text, id=world.training_sheet, other=world.other_training_sheet) == {
        "one": {
            "eligibility": {
                "totalPairs": 8,
                "eligiblePairs": 2,
                "trainPairs": 1,
                "valPairs": 1,
                "excluded": [
                    {"verdict": "NOT_LABELED", "count": 2},
                    {"verdict": "USE_PROHIBITED", "count": 1},
                    {"verdict": "USE_NOT_ALLOWED", "count": 2},
                    {"verdict": "MALFORMED", "count": 1},
                ],
            }
        },
        "none": {"eligibility": {"totalPairs": 0, "trainPairs": 0, "valPairs": 0}},
    }


async def test_a_pair_with_its_messages_and_its_jobs(oracle: Oracle, world: World) -> None:
    text = """query($id: ID!) { qaPair(id: $id) {
        itemRef messages { role content } status allowedUses reviewedBy trainingSheet { name }
        trainingJobs { totalCount nodes { id } }
    } }"""
    used_by = sorted((world.jobs[RICH], world.jobs[9]), key=lambda row: (row["created_at"], row["id"]), reverse=True)
    assert await data(oracle, text, id=world.pairs[0]) == {
        "qaPair": {
            "itemRef": "inv-1",
            "messages": [
                {"role": "user", "content": "Wann? 你好 🦓"},
                {"role": "assistant", "content": 'It\'s „due“ "now"\\\n\tor\u2028never'},
            ],
            "status": "LABELED",
            "allowedUses": ["TRAINING", "VALIDATION", "EVALUATION", "FEW_SHOT", "TESTING"],
            "reviewedBy": "anna@example.com",
            "trainingSheet": {"name": "invoice desk"},
            "trainingJobs": {"totalCount": 2, "nodes": [{"id": row["id"]} for row in used_by]},
        }
    }


async def test_jobs_of_what_they_were_made_from(oracle: Oracle, world: World) -> None:
    text = """query($sheet: ID!, $template: ID!, $label: ID!, $training: ID!) {
        sheet: node(id: $sheet) { ... on Sheet { trainingJobs(first: 2) { totalCount nodes { id } } } }
        template: node(id: $template) { ... on Template { trainingJobs { totalCount } } }
        label: node(id: $label) { ... on CanonicalLabel { trainingJobs { totalCount nodes { id } } } }
        training: trainingSheet(id: $training) { trainingJobs { totalCount } }
    }"""
    found = await data(
        oracle,
        text,
        sheet=world.sheet,
        template=world.templates[1],
        label=world.labels[1],
        training=world.other_training_sheet,
    )
    traced = [id_ for id_ in world.job_ids() if id_ in world.lineages]
    assert found == {
        "sheet": {"trainingJobs": {"totalCount": 24, "nodes": [{"id": id_} for id_ in traced[:2]]}},
        "template": {"trainingJobs": {"totalCount": 4}},
        "label": {"trainingJobs": {"totalCount": 1, "nodes": [{"id": world.jobs[RICH]["id"]}]}},
        "training": {"trainingJobs": {"totalCount": 5}},
    }


async def test_lineage_lists_what_was_frozen(oracle: Oracle, world: World) -> None:
    text = """query($id: ID!, $after: String) { trainingJob(id: $id) { lineage {
        job { id } modelVersion qaPairIds canonicalLabelIds
        pairs(split: VALIDATION) { totalCount nodes { position qaPair { id } } pageInfo { endCursor } }
        behind: pairs(first: 1, after: $after) {
            nodes { position digest split canonicalLabelId canonicalLabelVersion } pageInfo { hasNextPage }
        }
    } } }"""
    after = base64.b64encode(b'["lineage_pairs", 1]').decode()
    job = world.jobs[RICH]["id"]
    old, new, _ = world.labels
    third = world.frozen[2]
    assert (await data(oracle, text, id=job, after=after))["trainingJob"]["lineage"] == {
        "job": {"id": job},
        "modelVersion": "4",
        "qaPairIds": world.pairs[::-1],
        "canonicalLabelIds": [old, new],
        "pairs": {
            "totalCount": 2,
            "nodes": [
                {"position": 6, "qaPair": {"id": world.pairs[1]}},
                {"position": 7, "qaPair": {"id": world.pairs[0]}},
            ],
            "pageInfo": {"endCursor": base64.b64encode(b'["lineage_pairs", 7]').decode()},
        },
        "behind": {
            "nodes": [
                {
                    "position": 2,
                    "digest": third["digest"],
                    "split": "TRAIN",
                    "canonicalLabelId": new,
                    "canonicalLabelVersion": 2,
                }
            ],
            "pageInfo": {"hasNextPage": True},
        },
    }


async def test_the_lineage_of_a_model(oracle: Oracle, world: World) -> None:
    text = """{
        all: modelLineage(modelName: "model 1") { jobId }
        one: modelLineage(modelName: "model 1", modelVersion: "4") { jobId }
        none: modelLineage(modelName: "model") { jobId }
    }"""
    of_model = [row["id"] for row in world.newest_first() if row["model_name"] == "model 1"]
    assert len(of_model) > 1
    assert await data(oracle, text) == {
        "all": [{"jobId": id_} for id_ in of_model],
        "one": [{"jobId": world.jobs[RICH]["id"]}],
        "none": [],
    }


async def test_a_job_s_history_by_types_and_from_its_end(oracle: Oracle, world: World) -> None:
    text = """query($id: ID!) { trainingJob(id: $id) {
        moved: events(types: [STATUS_CHANGE], last: 2) { totalCount nodes { sequence oldStatus newStatus } }
        none: events(types: []) { totalCount }
        first: events(first: 1) { nodes { id jobId eventType message eventData actor createdAt cursor } }
    } }"""
    job, event = world.jobs[RICH]["id"], world.events[0]
    assert (await data(oracle, text, id=job))["trainingJob"] == {
        "moved": {
            "totalCount": 3,
            "nodes": [
                {"sequence": 4, "oldStatus": "QUEUED", "newStatus": "RUNNING"},
                {"sequence": 12, "oldStatus": "RUNNING", "newStatus": "SUCCEEDED"},
            ],
        },
        "none": {"totalCount": 0},
        "first": {
            "nodes": [
                {
                    "id": event["id"],
                    "jobId": job,
                    "eventType": "CREATED",
                    "message": "event 1",
                    "eventData": {"pairs": 7},
                    "actor": "local",
                    "createdAt": rfc3339(event["created_at"]),
                    "cursor": base64.b64encode(b'["events", 1]').decode(),
                }
            ]
        },
    }
