"""Creating jobs: what is refused, what is written, and that asking twice is asking once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from server.bus import Bus
from server.domain.errors import Conflict, InvalidInput, NoEligiblePairs, NotFound
from server.domain.gates import PairStatus, Verdict
from server.domain.status import TrainerKind
from server.services.eligibility import Eligibility
from server.services.jobs import CREATES_AT_ONCE, Jobs
from tests.server.services.desk import ANNA, BEN, DEADLINE, NUL, SURROGATE, pair, refusal
from tests.server.workshop import Workshop, opened_workshop

pytestmark = pytest.mark.database

TO_UC: dict[str, Any] = {"register_to_uc": True, "uc_catalog": "main", "uc_schema": "desk"}
COUNTS = "SELECT (SELECT count(*) FROM training_jobs), (SELECT count(*) FROM training_job_pairs)"


async def test_a_create_writes_the_job_its_pairs_its_lineage_and_its_first_event(workshop: Workshop) -> None:
    label_id = await workshop.desk.label("inv-9")
    await workshop.desk.add(
        pair("Labelled?", "Yes.", status=PairStatus.LABELED, canonical_label_id=label_id, item_ref="inv-9"),
        pair("Unlabelled?"),
        pair("Prohibited?", status=PairStatus.LABELED, prohibited_uses=["TRAINING"]),
        pair("Not allowed?", status=PairStatus.LABELED, allowed_uses=["VALIDATION"]),
        pair("Empty?", " ", status=PairStatus.LABELED),
    )
    job_id = await workshop.create(**TO_UC)
    job = await workshop.job(job_id)
    assert (job["total_pairs"], job["train_pairs"], job["val_pairs"]) == (6, 5, 1)
    assert [job[f"excluded_{verdict.lower()}"] for verdict in list(Verdict)[1:]] == [1, 1, 1, 1]
    assert (job["created_by"], job["status"], job["total_epochs"]) == (ANNA.name, "PENDING", 3)
    assert job["uc_model_name"] == "main.desk.desk-model"
    assert (job["client_mutation_id"], job["input_digest"]) == (None, None)
    frozen = await workshop.desk.rows(
        "SELECT frozen.position, frozen.split, pair.created_at, pair.id, frozen.digest = pair.line_digest,"
        " frozen.canonical_label_id, frozen.canonical_label_version"
        " FROM training_job_pairs AS frozen JOIN qa_pairs AS pair ON pair.id = frozen.qa_pair_id ORDER BY position"
    )
    assert [row[0] for row in frozen] == list(range(6))
    assert [row[1] for row in frozen] == ["TRAIN"] * 5 + ["VALIDATION"]
    for side in (frozen[:5], frozen[5:]):
        assert [row[2:4] for row in side] == sorted(row[2:4] for row in side)
    assert all(row[4] for row in frozen)
    assert [row[5:] for row in frozen if row[5]] == [(label_id, 1)]
    lineage = await workshop.desk.one(
        "SELECT training_sheet_name, sheet_name, template_name, template_version, model_name, model_version"
        " FROM training_job_lineage"
    )
    assert lineage == ("invoice desk", "invoices", "desk", 1, "desk-model", None)
    assert await workshop.history(job_id) == ["CREATED >PENDING"]
    event = await workshop.last_event(job_id)
    assert (event["message"], event["actor"]) == ("Created with 5 pairs to train on and 1 to validate with", ANNA.name)


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"model_name": " "}, "input.modelName", "modelName: must not be blank"),
        ({"model_name": "a/b"}, "input.modelName", "modelName: may have letters, digits, '-', '_' and '.'"),
        ({"model_name": "a:b"}, "input.modelName", "modelName: may have letters, digits, '-', '_' and '.'"),
        ({"model_name": "../x"}, "input.modelName", "modelName: may have letters, digits, '-', '_' and '.'"),
        ({"model_name": "x" * 256}, "input.modelName", "modelName: has 256 characters; at most 255 are allowed"),
        ({"model_name": "a\x00"}, "input.modelName", f"modelName: {NUL}"),
        ({**TO_UC, "model_name": "a.b"}, "input.modelName", "modelName: may have no '.' when the model is registered"),
        ({**TO_UC, "uc_catalog": None}, "input.ucCatalog", "ucCatalog: is needed to register the model"),
        ({**TO_UC, "uc_schema": "a.b"}, "input.ucSchema", "ucSchema: may have letters, digits, '-' and '_'"),
        ({"uc_schema": "\ud800"}, "input.ucSchema", f"ucSchema: {SURROGATE}"),
        ({"base_model": "other"}, "input.baseModel", "no base model other"),
        ({"base_model": "\x00"}, "input.baseModel", f"baseModel: {NUL}"),
        ({"trainer": TrainerKind.FMAPI}, "input.trainer", "trainer: FMAPI is not configured on this server"),
        ({"training_config": {"epochs": 0}}, "input.trainingConfig.epochs", "epochs: must be at least 1"),
        ({"training_config": [1]}, "input.trainingConfig", "trainingConfig: must be an object"),
        ({"training_config": None}, "input.trainingConfig", "trainingConfig: must be an object"),
        ({"training_config": {"rate": float("nan")}}, "input.trainingConfig", "trainingConfig: contains a number that"),
        ({"training_config": {"a\x00": 1}}, "input.trainingConfig", f"trainingConfig: {NUL}"),
        ({"training_config": {"a": "x" * 70_000}}, "input.trainingConfig", "trainingConfig: has 70,008 bytes as JSON"),
        ({"train_val_split": 0.09}, "input.trainValSplit", "trainValSplit: must be between 0.1 and 0.95"),
        ({"train_val_split": float("nan")}, "input.trainValSplit", "trainValSplit: must be between 0.1 and 0.95"),
        ({"split_seed": 2**31}, "input.splitSeed", "splitSeed: must be a whole number of 32 bits"),
        ({"client_mutation_id": ""}, "input.clientMutationId", "clientMutationId: must not be blank"),
        ({"client_mutation_id": "x" * 256}, "input.clientMutationId", "clientMutationId: has 256 characters; at most"),
    ],
)  # fmt: skip
async def test_a_create_that_can_not_be_done_says_where_it_is_wrong_and_writes_nothing(
    workshop: Workshop, changes: dict[str, Any], path: str, message: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await workshop.create(**changes)
    where, why = refusal(refused)
    assert where == path
    assert why.startswith(message)
    assert await workshop.desk.one(COUNTS) == (0, 0)


@pytest.mark.parametrize("sheet_id", ["tsheet_none", "\x00", "\ud800", ""])
async def test_an_unknown_training_sheet_is_not_found(workshop: Workshop, sheet_id: str) -> None:
    with pytest.raises(NotFound) as refused:
        await workshop.create(training_sheet_id=sheet_id)
    assert refused.value.path == ("input", "trainingSheetId")


async def test_a_sheet_without_an_eligible_pair_is_refused_with_the_reasons(database_url: str, tmp_path: Path) -> None:
    async with opened_workshop(database_url, tmp_path, pairs=0) as workshop:
        with pytest.raises(NoEligiblePairs) as refused:
            await workshop.create()
        assert (refused.value.message, refused.value.excluded) == ("the training sheet has no pairs", {})
        await workshop.desk.add(pair(), pair(), pair(status=PairStatus.LABELED, prohibited_uses=["TRAINING"]))
        with pytest.raises(NoEligiblePairs) as refused:
            await workshop.create()
        assert refused.value.excluded == {Verdict.NOT_LABELED: 2, Verdict.USE_PROHIBITED: 1}
        assert refused.value.message.startswith("none of the training sheet's 3 pairs passes the gates: ")
        await workshop.desk.add(pair(status=PairStatus.LABELED))
        with pytest.raises(InvalidInput) as too_few:
            await workshop.create()
        assert refusal(too_few) == (
            "input.trainingSheetId",
            "trainingSheetId: there is 1 eligible pair, and both sides need at least one; label more pairs",
        )
        assert await workshop.desk.one(COUNTS) == (0, 0)


async def test_a_pair_that_a_review_withdraws_meanwhile_is_not_frozen(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The review lands between the reading of the pairs and the writing of the job."""
    select = Eligibility.select
    withdrawn: list[str] = []

    async def review_after(self: Eligibility, sheet_id: str, ratio: float, seed: int) -> Any:  # noqa: ANN401
        selection = await select(self, sheet_id, ratio, seed)
        if not withdrawn and selection.sides is not None:
            withdrawn.append(selection.sides.train[0])
            await workshop.desk.curation.review_qa_pairs(BEN, withdrawn, status=PairStatus.REJECTED)
        return selection

    monkeypatch.setattr(Eligibility, "select", review_after)
    job_id = await workshop.create()
    job = await workshop.job(job_id)
    assert (job["total_pairs"], job["excluded_not_labeled"]) == (4, 1)
    assert await workshop.desk.one(COUNTS) == (1, 4)
    frozen = await workshop.desk.rows("SELECT qa_pair_id FROM training_job_pairs")
    assert (withdrawn[0],) not in frozen


async def test_the_same_client_mutation_id_with_the_same_input_is_the_same_job(workshop: Workshop) -> None:
    first = await workshop.create(client_mutation_id="once", training_config={"epochs": 2, "rate": 0.1})
    again = await workshop.create(
        client_mutation_id="once", training_config={"rate": 0.1, "epochs": 2}, trainer=TrainerKind.LOCAL
    )
    assert again == first
    assert await workshop.desk.one(COUNTS) == (1, 5)
    for other in ({"split_seed": 1}, {"model_name": "other"}, {"training_config": {"epochs": 3}}):
        with pytest.raises(Conflict) as refused:
            await workshop.create(client_mutation_id="once", **{"training_config": {"epochs": 2, "rate": 0.1}, **other})
        assert refused.value.path == ("input", "clientMutationId")
    assert await workshop.jobs.create(BEN, workshop.asking(client_mutation_id="once")) != first
    assert await workshop.create() != await workshop.create()


async def test_a_repeat_is_answered_even_when_the_job_could_not_be_created_any_more(workshop: Workshop) -> None:
    first = await workshop.create(client_mutation_id="once")
    pairs = [row[0] for row in await workshop.desk.rows("SELECT id FROM qa_pairs")]
    await workshop.desk.curation.review_qa_pairs(BEN, pairs, status=PairStatus.REJECTED)
    assert await workshop.create(client_mutation_id="once") == first


async def test_equal_creates_at_once_on_two_replicas_end_in_one_job(workshop: Workshop) -> None:
    async with workshop.another() as reconciler, Bus(workshop.url) as bus:
        other = Jobs(
            workshop.engine,
            bus,
            reconciler,
            Eligibility(workshop.engine),
            default_trainer=TrainerKind.LOCAL,
            first_step_seconds=0.0,
        )
        asked = workshop.asking(client_mutation_id="once")
        answers = await asyncio.gather(
            *((workshop.jobs if turn % 2 else other).create(ANNA, asked) for turn in range(20)),
        )
    assert len(set(answers)) == 1
    assert await workshop.desk.one(COUNTS) == (1, 5)
    assert await workshop.history(answers[0]) == ["CREATED >PENDING"]


async def test_many_creates_at_once_leave_database_connections_to_others(workshop: Workshop) -> None:
    before = await workshop.create()
    writing = "SELECT count(*) FROM pg_locks WHERE relation = 'training_job_pairs'::regclass AND NOT granted"
    async with asyncio.TaskGroup() as group, workshop.engine.connect() as connection, connection.begin():
        await connection.exec_driver_sql("LOCK TABLE training_job_pairs IN EXCLUSIVE MODE")
        creating = [group.create_task(workshop.create()) for _ in range(30)]
        async with asyncio.timeout(DEADLINE):
            while (await connection.exec_driver_sql(writing)).scalar() != CREATES_AT_ONCE:  # noqa: ASYNC110  (Postgres tells nobody)
                await asyncio.sleep(0.005)
            for _ in range(30):
                assert await workshop.status(before) == "PENDING"
    assert len({create.result() for create in creating}) == 30


async def test_different_creates_at_once_with_one_id_end_in_one_job_and_a_conflict(workshop: Workshop) -> None:
    answers = await asyncio.gather(
        *(workshop.create(client_mutation_id="once", split_seed=seed) for seed in range(4)), return_exceptions=True
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["Conflict", "Conflict", "Conflict", "str"]
