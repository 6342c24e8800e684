"""Every operation of the API on the real program: those that the examples show, and those that the contract names."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import FieldNode, GraphQLSchema, OperationDefinitionNode, OperationType, build_schema, parse, print_ast

from server.commands.demo.client import Client, Data
from tests.e2e import jobs
from tests.e2e.program import CHECKOUT, program

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

EXAMPLES = CHECKOUT / "examples" / "operations.graphql"
ROUND = CHECKOUT / "tests" / "e2e" / "round.graphql"
CONTRACT = CHECKOUT / "tests" / "schema" / "contract.graphql"
FOR_EVER = 1000  # epochs


def operations(path: Path) -> Iterator[OperationDefinitionNode]:
    for definition in parse(path.read_text(encoding="utf-8")).definitions:
        if isinstance(definition, OperationDefinitionNode):
            yield definition


def roots(operation: OperationDefinitionNode) -> set[tuple[str, str]]:
    fields = (node for node in operation.selection_set.selections if isinstance(node, FieldNode))
    return {(operation.operation.value, field.name.value) for field in fields}


async def run(client: Client, operation: OperationDefinitionNode, variables: Data) -> list[Data]:
    """All answers to an operation; a stream that never completes is left after its first."""
    wanted = {node.variable.name.value for node in operation.variable_definitions or ()}
    given = {name: value for name, value in variables.items() if name in wanted}
    text = print_ast(operation)
    if operation.operation is not OperationType.SUBSCRIPTION:
        return [await client.ask(text, **given)]
    answers = []
    async for answer in client.follow(text, **given):
        answers.append(answer)
        if "trainingJobsUpdated" in answer:
            break
    return answers


async def test_each_example_runs_and_answers() -> None:
    async with program() as server:
        await server.start()
        async with server.client() as client:
            sheet = await jobs.make_training_sheet(client)
            found = {operation.name.value: operation for operation in operations(EXAMPLES) if operation.name}
            variables: Data = {"trainingSheetId": sheet, "modelName": "office", "clientMutationId": "one"}

            all_jobs = asyncio.create_task(run(client, found.pop("FollowAll"), {}))
            started = (await run(client, found.pop("StartTraining"), variables))[0]["createTrainingJob"]
            assert started["__typename"] == "TrainingJob", started
            assert (started["trainPairs"], started["valPairs"]) == (160, 40)
            variables["jobId"] = started["id"]

            events = await run(client, found.pop("FollowEvents"), variables)
            told = [event["trainingJobEvents"] for event in events]
            assert [event["sequence"] for event in told] == list(range(1, len(told) + 1))
            assert told[-1]["newStatus"] == "SUCCEEDED"
            assert (await all_jobs)[0]["trainingJobsUpdated"]["id"] == started["id"]
            states = await run(client, found.pop("FollowJob"), variables)
            assert [state["trainingJobUpdated"]["status"] for state in states] == ["SUCCEEDED"]

            answers = {}
            pairs = (await run(client, found.pop("Pairs"), variables))[0]["trainingSheet"]["qaPairs"]
            assert (pairs["totalCount"], len(pairs["nodes"]), pairs["pageInfo"]["hasNextPage"]) == (200, 10, True)
            variables |= {"pairId": pairs["nodes"][0]["id"], "pairIds": [pair["id"] for pair in pairs["nodes"]]}
            for name, operation in found.items():
                (answers[name],) = await run(client, operation, variables)

            assert answers["TrainingSheets"]["trainingSheets"]["nodes"][0]["eligibility"] == {
                "totalPairs": 200,
                "eligiblePairs": 200,
                "trainPairs": 160,
                "valPairs": 40,
                "excluded": [],
            }
            names = [model["name"] for model in answers["BaseModels"]["baseModels"]]
            assert names == ["local/retriever-small", "local/retriever-base"]
            assert [job["id"] for job in answers["Jobs"]["trainingJobs"]["nodes"]] == [started["id"]]
            job = answers["Job"]["trainingJob"]
            assert (job["status"], job["ucModelName"], job["ucModelVersion"]) == (
                "SUCCEEDED",
                "main.models.office",
                "1",
            )
            assert [series["key"] for series in job["metricHistory"]] == ["train_loss", "val_accuracy", "val_loss"]
            assert [series["steps"] for series in job["metricHistory"]] == [list(range(21))] * 3
            (lineage,) = answers["Lineage"]["modelLineage"]
            assert (lineage["modelVersion"], lineage["pairs"]["totalCount"]) == ("1", 200)
            assert answers["UsesOfPair"]["qaPair"]["trainingJobs"]["nodes"][0]["modelName"] == "office"
            assert answers["Cancel"]["cancelTrainingJob"]["code"] == "INVALID_TRANSITION"
            assert answers["Review"]["reviewQaPairs"]["count"] == 10


class Round:
    """Runs the operations of `ROUND` and notes which root fields were asked."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._operations = {one.name.value: one for one in operations(ROUND) if one.name}
        self.asked: set[tuple[str, str]] = set()

    async def all(self, name: str, **variables: object) -> list[Data]:
        operation = self._operations[name]
        self.asked |= roots(operation)
        return await run(self._client, operation, variables)

    async def one(self, name: str, **variables: object) -> Data:
        (data,) = await self.all(name, **variables)
        (answer,) = data.values()
        found: Data = answer
        return found


def contract_roots(schema: GraphQLSchema) -> set[tuple[str, str]]:
    kinds = {"query": schema.query_type, "mutation": schema.mutation_type, "subscription": schema.subscription_type}
    return {(kind, name) for kind, type_ in kinds.items() if type_ is not None for name in type_.fields}


async def test_every_operation_of_the_contract_answers() -> None:
    async with program() as server:
        await server.start()
        async with server.client() as client:
            round_ = Round(client)
            source = (await round_.one("Sheet"))["id"]
            template = (await round_.one("Template"))["id"]
            named = {"name": "R", "sheetId": source, "templateId": template}
            sheet = (await round_.one("TrainingSheet", input=named))["id"]
            label_input = {"sheetId": source, "itemRef": "i-1", "labelType": "answer", "labelData": {"page": 3}}
            label = await round_.one("Label", input=label_input)
            assert label["version"] == 1
            pairs = [
                {
                    "messages": [
                        {"role": "user", "content": f"Question {n}?"},
                        {"role": "assistant", "content": f"{n}."},
                    ],
                    "itemRef": f"i-{n}",
                    "canonicalLabelId": label["id"] if n == 1 else None,
                }
                for n in range(1, 21)
            ]
            added = await round_.one("Pairs", input={"trainingSheetId": sheet, "pairs": pairs})
            ids = [pair["id"] for pair in added["qaPairs"]]
            reviewed = await round_.one("Review", input={"qaPairIds": ids, "status": "LABELED"})
            assert {pair["status"] for pair in reviewed["qaPairs"]} == {"LABELED"}

            following = asyncio.create_task(round_.all("Jobs"))
            created = await round_.one(
                "Create",
                input={
                    "trainingSheetId": sheet,
                    "modelName": "round",
                    "baseModel": "local/retriever-base",
                    "trainingConfig": {"epochs": FOR_EVER, "learning_rate": 0.001, "note": "kept"},
                },
            )
            assert created["status"] in {"QUEUED", "RUNNING"}
            answers = (await round_.all("All", job=created["id"], sheet=sheet, pair=ids[0], source=source))[0]
            assert answers["node"] == {"id": created["id"], "__typename": "TrainingJob"}
            assert answers["activeTrainingJobs"] == {"nodes": [{"id": created["id"]}]}
            assert answers["qaPair"] == {"verdict": "ELIGIBLE", "canonicalLabel": {"version": 1}}
            assert answers["modelLineage"] == [{"jobId": created["id"]}]
            assert (await following)[0]["trainingJobsUpdated"] == {"id": created["id"], "modelName": "round"}
            assert (await round_.one("Poll", id=created["id"]))["id"] == created["id"]
            assert await round_.one("Poll", id="job_none") == {"code": "NOT_FOUND"}
            assert (await round_.one("Cancel", id=created["id"]))["cancelRequestedAt"] is not None
            updates = await round_.all("Job", id=created["id"])
            assert updates[-1]["trainingJobUpdated"]["status"] == "CANCELLED"
            events = await round_.all("Events", id=created["id"])
            assert events[-1]["trainingJobEvents"]["newStatus"] == "CANCELLED"

            contract = build_schema(CONTRACT.read_text(encoding="utf-8"))
            assert round_.asked == contract_roots(contract)
