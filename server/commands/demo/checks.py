"""What a demo must have shown for it to have worked."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from server.commands.demo.answers import Answer
from server.commands.demo.facts import Facts
from server.commands.demo.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Check:
    """One claim, and whether it held."""

    claim: str
    held: bool


def checks(facts: Facts, answers: Sequence[Answer], scenario: Scenario, *, questions: int) -> list[Check]:
    """Every claim, in the order of the report."""
    job = facts.job
    times = f"{scenario.times_chance:g} times chance" if scenario.times_chance > 1 else "chance"
    return [
        Check("the job has SUCCEEDED", job["status"] == "SUCCEEDED"),
        Check("its loss fell", loss_fell(facts)),
        Check(f"its validation accuracy is above {times}", _exceeds(facts.accuracy, facts.chance, scenario)),
        Check("… and above the untrained model's", _exceeds(facts.accuracy, facts.untrained)),
        Check("its model has a registered version", bool(job["ucModelName"] and job["ucModelVersion"])),
        Check("its lineage is complete, down to each pair", lineage_is_complete(facts)),
        Check("the trained model answers", len(answers) == questions and all(answer.given for answer in answers)),
    ]


def _exceeds(accuracy: float | None, than: float | None, scenario: Scenario | None = None) -> bool:
    if accuracy is None or than is None:
        return False
    if scenario is not None and scenario.times_chance > 1:
        return accuracy >= scenario.times_chance * than
    return accuracy > than


def loss_fell(facts: Facts) -> bool:
    """Whether the model learned what it was trained on."""
    losses = [facts.at_step(step).get("train_loss") for step in facts.steps]
    known = [loss for loss in losses if loss is not None and math.isfinite(loss)]
    return len(known) > 1 and known[-1] < known[0]


def lineage_is_complete(facts: Facts) -> bool:
    """Every pair is there once, in file order with its digest, and the sums agree."""
    job, lineage = facts.job, facts.job["lineage"]
    if lineage is None:
        return False
    splits = [pair["split"] for pair in facts.pairs]
    return (
        [pair["qaPairId"] for pair in facts.pairs] == lineage["qaPairIds"]
        and len(set(lineage["qaPairIds"])) == job["totalPairs"] == len(facts.pairs)
        and splits == ["TRAIN"] * job["trainPairs"] + ["VALIDATION"] * job["valPairs"]
        and all(pair["digest"] for pair in facts.pairs)
        and lineage["modelVersion"] == job["ucModelVersion"]
        and bool(job["datasetDigest"])
    )
