"""Asking an emulated workspace without a socket, and what there is to train on."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.emulator.app import application
from tests.emulator.fmapi import PATH
from tests.emulator.world import World

START = 1_795_000_000.0  # 2026-11-18T11:06:40Z
PACE = 100.0
VOLUME = "/Volumes/main/ft/data"
TRAIN, VALIDATION = f"{VOLUME}/train.jsonl", f"{VOLUME}/validation.jsonl"
FOLDER = "/Workspace/Users/me@example.com/.ft"
CREATE = """mutation CreateFinetune($createFinetuneData: CreateFinetuneInput!) {
  createFinetune(createFinetuneData: $createFinetuneData) { name status details { experimentTracker } } }"""
LIST = """query GetFinetunesPaginated($getFinetunesPaginatedData: GetFinetunesPaginatedInput!) {
  getFinetunesPaginated(getFinetunesPaginatedData: $getFinetunesPaginatedData) { cursor hasNextPage finetunes {
    name status startedAt completedAt reason estimatedEndTime isDeleted
    details { experimentTracker formattedFinetuningEvents { eventType eventTime eventMessage } } } } }"""
STOP = """mutation StopFinetunes($getFinetunesData: GetFinetunesInput!, $stopFinetunesData: StopFinetunesInput) {
  stopFinetunes(getFinetunesData: $getFinetunesData, stopFinetunesData: $stopFinetunesData) { name status reason } }"""


def conversations(rows: int = 40) -> bytes:
    """Chats of one question and one answer, a line each."""
    turns = [[("user", f"q{row}"), ("assistant", f"a{row}")] for row in range(rows)]
    rounds = [{"messages": [{"role": role, "content": content} for role, content in turn]} for turn in turns]
    return "\n".join(json.dumps(one) for one in rounds).encode()


@dataclass(frozen=True, slots=True)
class Client:
    http: httpx.AsyncClient
    world: World

    async def get(self, path: str, /, **query: str | int) -> httpx.Response:
        return await self.http.get(path, params=query)

    async def post(self, path: str, /, **body: Any) -> httpx.Response:  # noqa: ANN401  (JSON has no type)
        return await self.http.post(path, json=body)

    async def upload(self, path: str = TRAIN, content: bytes | None = None) -> None:
        content = conversations() if content is None else content
        answer = await self.http.put(f"/api/2.0/fs/files{path}", params={"overwrite": "true"}, content=content)
        assert answer.status_code == 204, answer.text

    async def graphql(self, query: str, **variables: Any) -> Any:  # noqa: ANN401  (the one root field)
        """The answer's only root field."""
        answer = (await self.post(PATH, query=query, variables=variables)).json()
        assert "errors" not in answer, answer
        [value] = answer["data"].values()
        return value

    async def create(self, experiment: str = "/Users/me@example.com/exp", **changes: Any) -> str:  # noqa: ANN401
        """A finetune's name."""
        tracker = {"experimentPath": experiment, "modelRegistryPath": "main.ft.m", "createExperimentAndRun": True}
        config = {
            "model": "meta-llama/Llama-3.2-1B-Instruct",
            "trainDataPath": f"dbfs:{TRAIN}",
            "saveFolder": "dbfs:/databricks/mlflow-tracking/{mlflow_experiment_id}/{mlflow_run_id}/artifacts",
            "taskType": "CHAT_COMPLETION",
            "trainingDuration": "2ep",
            "experimentTracker": {"mlflow": tracker},
        }
        created = await self.graphql(CREATE, createFinetuneData={"config": config | changes})
        return str(created["name"])

    async def page(self, **asked: Any) -> Any:  # noqa: ANN401
        return await self.graphql(LIST, getFinetunesPaginatedData=asked)

    async def finetune(self, name: str) -> Any:  # noqa: ANN401
        [found] = (await self.page(filters={"name": {"in": [name]}}))["finetunes"]
        return found

    async def bundle(
        self, hyperparameters: str = f"train_file: {TRAIN}\nconfig: {{epochs: 2}}\nregister_as: main.ft.air\n"
    ) -> None:
        await self.post("/api/2.0/workspace/mkdirs", path=FOLDER)
        for name, content in (("command.sh", "python train.py\n"), ("hyperparameters.yaml", hyperparameters)):
            answer = await self.http.post(
                "/api/2.0/workspace/import",
                files={
                    "path": (None, f"{FOLDER}/{name}"),
                    "format": (None, "AUTO"),
                    "overwrite": (None, "true"),
                    "content": ("content", content),
                },
            )
            assert answer.status_code == 200, answer.text

    async def submit(self, token: str = "t", count: int = 1, **changes: Any) -> httpx.Response:  # noqa: ANN401, S107
        compute = {"accelerator_type": "GPU_1xH100", "accelerator_count": count}
        air = {
            "experiment": "air",
            "mlflow_run": "r",
            "mlflow_experiment_directory": "/Workspace/Users/me@example.com",
            "deployments": [{"command_path": f"{FOLDER}/command.sh", "compute": compute}],
        }
        task = {"task_key": "train", "environment_key": "default", "max_retries": 0, "ai_runtime_task": air}
        environments = [{"environment_key": "default", "spec": {"environment_version": "4"}}]
        body = {"run_name": "train", "idempotency_token": token, "tasks": [task], "environments": environments}
        return await self.post("/api/2.2/jobs/runs/submit", **body | changes)

    async def run(self, run_id: int) -> Any:  # noqa: ANN401
        return (await self.get("/api/2.2/jobs/runs/get", run_id=run_id)).json()


@asynccontextmanager
async def client_of(world: World, token: str | None = None) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {token or world.options.token}"}
    transport = httpx.ASGITransport(application(world))
    async with httpx.AsyncClient(transport=transport, base_url="http://databricks", headers=headers) as http:
        yield Client(http, world)
