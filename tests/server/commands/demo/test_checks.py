"""When a demo counts as having worked: one thing wrong, and the claim about it does not hold."""

import copy
from collections.abc import Callable

import pytest

from server.commands.demo import scenario
from server.commands.demo.answers import Answer
from server.commands.demo.checks import checks
from server.commands.demo.client import Data
from server.commands.demo.facts import Facts, Question

CLAIMS = [
    "the job has SUCCEEDED",
    "its loss fell",
    "its validation accuracy is above 5 times chance",
    "… and above the untrained model's",
    "its model has a registered version",
    "its lineage is complete, down to each pair",
    "the trained model answers",
]


def pair(number: int, split: str, answer: str = "an answer") -> Data:
    messages = [{"role": "user", "content": f"question {number}"}, {"role": "assistant", "content": answer}]
    return {
        "qaPairId": f"qa_{number}",
        "split": split,
        "position": number,
        "digest": f"digest {number}",
        "qaPair": {"messages": messages},
    }


def facts() -> Facts:
    """A job that went well: one in fifty by chance, one in ten untrained, nine in ten trained."""
    job = {
        "status": "SUCCEEDED",
        "totalPairs": 3,
        "trainPairs": 2,
        "valPairs": 1,
        "datasetDigest": "sha",
        "ucModelName": "main.tunegraph.m",
        "ucModelVersion": "1",
        "metrics": {"valAccuracy": 0.9, "customMetrics": {"chance": 0.02}},
        "metricHistory": [
            {"key": "train_loss", "steps": [0, 1, 2], "values": [3.0, 2.0, 1.0]},
            {"key": "val_accuracy", "steps": [0, 2], "values": [0.1, 0.9]},
        ],
        "lineage": {"qaPairIds": ["qa_1", "qa_2", "qa_3"], "modelVersion": "1"},
    }
    return Facts(job, [pair(1, "TRAIN"), pair(2, "TRAIN"), pair(3, "VALIDATION")])


ANSWERS = [Answer(Question("q", "a"), "a"), Answer(Question("q", "a"), "another")]


def held(known: Facts, answers: list[Answer] = ANSWERS) -> dict[str, bool]:
    return {check.claim: check.held for check in checks(known, answers, scenario.sample(), questions=2)}


def test_all_of_it_holds_when_all_went_well() -> None:
    assert held(facts()) == dict.fromkeys(CLAIMS, True)


def at(*path: str | int, value: object) -> Callable[[Data], None]:
    def change(tree: Data) -> None:
        *way, last = path
        here: Data = tree
        for step in way:
            here = here[step]  # type: ignore[index]  # a path into plain JSON
        here[last] = value  # type: ignore[index]  # the same

    return change


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (at("job", "status", value="FAILED"), {CLAIMS[0]}),
        (at("job", "metricHistory", 0, "values", value=[1.0, 2.0, 3.0]), {CLAIMS[1]}),
        (at("job", "metricHistory", 0, "values", value=[None, 2.0, None]), {CLAIMS[1]}),
        (at("job", "metrics", "valAccuracy", value=0.0999), {CLAIMS[2], CLAIMS[3]}),
        (at("job", "metrics", "valAccuracy", value=None), {CLAIMS[2], CLAIMS[3]}),
        (at("job", "metrics", value=None), {CLAIMS[2], CLAIMS[3]}),
        (at("job", "metrics", "customMetrics", value=None), {CLAIMS[2]}),
        (at("job", "metricHistory", 1, "values", value=[0.9, 0.9]), {CLAIMS[3]}),
        (at("job", "metricHistory", 1, "steps", value=[1, 2]), {CLAIMS[3]}),
        (at("job", "ucModelVersion", value=None), {CLAIMS[4], CLAIMS[5]}),
        (at("job", "lineage", "modelVersion", value=None), {CLAIMS[5]}),
        (at("job", "lineage", value=None), {CLAIMS[5]}),
        (at("job", "lineage", "qaPairIds", value=["qa_1", "qa_3", "qa_2"]), {CLAIMS[5]}),
        (at("job", "totalPairs", value=4), {CLAIMS[5]}),
        (at("job", "datasetDigest", value=None), {CLAIMS[5]}),
        (at("pairs", 0, "split", value="VALIDATION"), {CLAIMS[5]}),
        (at("pairs", 1, "digest", value=""), {CLAIMS[5]}),
        (at("pairs", 1, "qaPairId", value="qa_1"), {CLAIMS[5]}),
    ],
)
def test_what_went_wrong_breaks_the_claim_about_it(change: Callable[[Data], None], broken: set[str]) -> None:
    known = facts()
    tree: Data = copy.deepcopy({"job": known.job, "pairs": list(known.pairs)})
    change(tree)
    result = held(Facts(tree["job"], tree["pairs"]))
    assert {claim for claim, holds in result.items() if not holds} == broken


@pytest.mark.parametrize("answers", [[], ANSWERS[:1], [ANSWERS[0], Answer(Question("q", "a"), "")]])
def test_a_model_that_does_not_answer_breaks_the_last_claim(answers: list[Answer]) -> None:
    assert [claim for claim, holds in held(facts(), answers).items() if not holds] == [CLAIMS[6]]


def test_a_file_of_ones_own_need_only_be_above_chance() -> None:
    known = facts()
    known.job["metrics"]["valAccuracy"] = 0.11
    mine = scenario.of_file(scenario.SAMPLE, "Mine!")
    claims = [check.claim for check in checks(known, ANSWERS, mine, questions=2) if check.held]
    assert len(claims) == len(CLAIMS)
    assert "its validation accuracy is above chance" in claims
    known.job["metrics"]["valAccuracy"] = 0.02
    claims = [check.claim for check in checks(known, ANSWERS, mine, questions=2) if not check.held]
    assert claims == ["its validation accuracy is above chance", "… and above the untrained model's"]


def test_questions_come_from_the_validation_side_and_differ_in_their_answers() -> None:
    deleted = {**pair(7, "VALIDATION"), "qaPair": None}
    pairs = [pair(1, "TRAIN", "a"), pair(2, "VALIDATION", "b"), pair(3, "VALIDATION", "b"), deleted]
    known = Facts({}, [*pairs, pair(4, "VALIDATION", "c"), pair(5, "VALIDATION", "d")])
    assert known.questions(2) == [Question("question 2", "b"), Question("question 4", "c")]


def test_questions_whose_answers_were_trained_on_come_first() -> None:
    pairs = [pair(1, "TRAIN", "c"), pair(2, "VALIDATION", "a"), pair(3, "VALIDATION", "b"), pair(4, "VALIDATION", "c")]
    assert Facts({}, pairs).questions(2) == [Question("question 4", "c"), Question("question 2", "a")]


@pytest.mark.parametrize(
    ("name", "model"), [("chatterbot", "chatterbot"), ("Mine & Yours 2", "mine-yours-2"), ("日本", "model")]
)
def test_a_file_is_called_by_one_name(name: str, model: str) -> None:
    mine = scenario.of_file(scenario.SAMPLE, name)
    assert (mine.target.sheet, mine.target.training_sheet, mine.model_name) == (name, name, model)
    assert scenario.of_file(scenario.SAMPLE, None).target.sheet == "invoice_desk"
