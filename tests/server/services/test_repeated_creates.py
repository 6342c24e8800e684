"""A create that is sent again under its client mutation id, written in another way."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from server.domain.errors import Conflict
from tests.server.services.desk import ANNA
from tests.server.workshop import Workshop

pytestmark = pytest.mark.database


@pytest.mark.parametrize(
    "config",
    [
        '{"epochs": 1, "rate": 0.5, "stages": [{"steps": 100}]}',
        '{"epochs": 1.0, "rate": 0.5, "stages": [{"steps": 100.0}]}',
        '{"epochs": 1e0, "rate": 5e-1, "stages": [{"steps": 1e2}]}',
        '{"stages": [{"steps": 100}], "rate": 0.50, "epochs": 1}',
    ],
)
async def test_a_number_may_be_written_in_another_way_when_a_create_is_repeated(
    workshop: Workshop, config: str
) -> None:
    said: dict[str, Any] = {"training_config": {"epochs": 1, "rate": 0.5, "stages": [{"steps": 100}]}}
    first = await workshop.create(client_mutation_id="once", **said)
    assert await workshop.create(client_mutation_id="once", training_config=json.loads(config)) == first
    other = await workshop.create(client_mutation_id="another", training_config=json.loads(config))
    assert await workshop.create(client_mutation_id="another", **said) == other
    for different in ({"epochs": True}, {"epochs": "1"}, {"epochs": 1.5}, {"epochs": 1, "note": None}, {"epochs": [1]}):
        with pytest.raises(Conflict):
            await workshop.create(
                client_mutation_id="once", training_config={"rate": 0.5, "stages": [{"steps": 100}], **different}
            )


async def test_a_create_is_repeated_across_the_upgrade_that_made_1_and_1_0_the_same(workshop: Workshop) -> None:
    asked = workshop.asking(client_mutation_id="once", training_config={"epochs": 1.0}, split_seed=3)
    values = {
        "training_sheet_id": asked.training_sheet_id,
        "model_name": asked.model_name,
        "base_model": asked.base_model,
        "trainer": "LOCAL",
        "training_config": {"epochs": 1.0},
        "train_val_split": 0.8,
        "split_seed": 3,
        "register_to_uc": False,
        "uc_catalog": None,
        "uc_schema": None,
    }
    before = hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    first = await workshop.jobs.create(ANNA, asked)
    await workshop.execute("UPDATE training_jobs SET input_digest = :digest", digest=before)
    assert await workshop.jobs.create(ANNA, asked) == first
    with pytest.raises(Conflict):
        await workshop.jobs.create(ANNA, replace(asked, training_config={"epochs": 2}))
