import json

import pytest
from graphql import parse, validate

from schema.api import build
from tests.bench import handwritten
from tests.bench.growth import WALK
from tests.bench.queries import NOTHING, QUESTIONS, Question
from tests.bench.rare import QUERY

JOBS = ["job_1", "job_2"]


@pytest.mark.parametrize("text", [*(question.text("graphql") for question in QUESTIONS), WALK, QUERY])
def test_every_question_is_valid(text: str) -> None:
    assert validate(build(), parse(text)) == []


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_a_question_is_asked_about_each_job_or_once(question: Question) -> None:
    asked = [question.graphql(JOBS), question.postgraphile(JOBS), question.strawchemy(JOBS), question.handwritten(JOBS)]

    wanted = [{"id": "job_1"}, {"id": "job_2"}] if question.of_a_job else [{}]
    assert [json.loads(request.body)["variables"] for request in asked[0]] == wanted
    assert [json.loads(request.body)["variables"] for request in asked[1]] == wanted
    assert [json.loads(request.body)["variables"] for request in asked[2]] == wanted
    assert [json.loads(request.body) for request in asked[3]] == wanted


def test_every_question_to_the_database_has_a_statement() -> None:
    assert set(handwritten.statements()) == {question.name for question in QUESTIONS} - {NOTHING.name}
