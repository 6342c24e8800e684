"""The trained model, loaded from the registry as any user of it would, and asked."""

# ruff: noqa: PLC0415  (MLflow takes seconds to import: only when there is a model to load)

from collections.abc import Sequence
from dataclasses import dataclass

from server.commands.demo.facts import Question
from server.domain.errors import Unavailable
from server.registry.local_store import default_tracking_uri
from server.registry.mlflow import prepare_environment
from server.settings import Settings
from server.threads import Threads


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said to a question."""

    question: Question
    given: str

    @property
    def right(self) -> bool:
        """Whether it is what the expert said."""
        return self.given == self.question.expected


async def ask(settings: Settings, name: str, version: str, questions: Sequence[Question]) -> list[Answer]:
    """Load a registered version and put the questions to it. Raises `Unavailable`."""
    tracking_uri = settings.mlflow_tracking_uri or default_tracking_uri(settings.data_dir)
    texts = [question.text for question in questions]
    try:
        given = await Threads(1, "MLflow").call(_predict, tracking_uri, f"models:/{name}/{version}", texts)
    except Exception as error:  # MLflow lets errors of requests, SQLAlchemy and the file system through
        raise Unavailable(f"The model can't be loaded from MLflow: {error}") from error
    return [Answer(question, text) for question, text in zip(questions, given, strict=True)]


def _predict(tracking_uri: str, model_uri: str, texts: list[str]) -> list[str]:
    prepare_environment()
    import mlflow
    import pandas as pd

    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_registry_uri(tracking_uri)
    model = mlflow.pyfunc.load_model(model_uri)
    answers = model.predict(pd.DataFrame({"question": texts}))
    return [str(answer) for answer in answers["answer"]]
