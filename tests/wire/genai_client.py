"""databricks_genai 1.1.8: create, watch, list, cancel and refuse, as its users do."""

from typing import Any

from databricks.model_training import foundation_model  # type: ignore[import-untyped]  # publishes no types
from databricks.model_training.api.exceptions import (  # type: ignore[import-untyped]  # the same
    DatabricksGenAIResponseError,
    MultiMAPIException,
)

from tests.wire.steering import TRAIN, USER, VALIDATION, advance, conversations, tell, upload

MODEL = "meta-llama/Llama-3.2-1B-Instruct"
EXPERIMENT = f"/Users/{USER}/wire"


def _created() -> Any:  # noqa: ANN401  (the client publishes no types)
    """With the client's own checks of data, experiment and model, which are calls of their own."""
    return foundation_model.create(
        model=MODEL,
        train_data_path=TRAIN,
        eval_data_path=VALIDATION,
        register_to="main.ft.wire",
        experiment_path=EXPERIMENT,
        training_duration="2ep",
        task_type="CHAT_COMPLETION",
    )


def _watched(name: str) -> list[str]:
    statuses = []
    for seconds in (0, 2, 3, 6, 50):
        advance(seconds)
        statuses.append(str(foundation_model.get(name).status))
    return statuses


def _cancelled() -> tuple[Any, dict[str, Any]]:
    one = foundation_model.create(
        model=MODEL, train_data_path=TRAIN, register_to="main.ft", task_type="CHAT_COMPLETION", validate_inputs=False
    )
    advance(20)
    count = foundation_model.cancel(one)
    stopping = str(foundation_model.get(one).status)
    advance(5)
    ended = foundation_model.get(one)
    seen = {"count": count, "statuses": [stopping, str(ended.status)], "again": foundation_model.cancel(one)}
    return one, seen | {"reason": ended.details, "default_experiment": one.submitted_experiment_path}


def _unknown() -> None:
    foundation_model.get("nobody")


def _unsupported() -> None:
    foundation_model.create(
        model="unheard/of",
        train_data_path=TRAIN,
        register_to="main.ft",
        task_type="CHAT_COMPLETION",
        validate_inputs=False,
    )


def _refused() -> list[str]:
    told = []
    for ask in (_unknown, _unsupported):
        try:
            ask()
        except (DatabricksGenAIResponseError, MultiMAPIException) as error:
            told.append(str(error))
    return told


def main() -> None:
    for path in (TRAIN, VALIDATION):
        upload(path, conversations())
    run = _created()
    statuses = _watched(run.name)
    other, cancelled = _cancelled()
    ended = foundation_model.get(run.name)
    tell(
        {
            "name": run.name,
            "experiment": [run.experiment_id, run.run_id, ended.experiment_path],
            "statuses": statuses,
            "events": [event.type for event in foundation_model.get_events(run)],
            "progress": [event.message for event in ended.events if event.type == "TRAIN_UPDATED"][-1],
            "checkpoints": foundation_model.get_checkpoints(ended),
            "models": [model.name for model in foundation_model.get_models()],
            "all": sorted(one.name for one in foundation_model.list()),
            "of_experiment": [one.name for one in foundation_model.list(experiment_id=run.experiment_id)],
            "stopped": [one.name for one in foundation_model.list(statuses=["STOPPED"])],
            "other": other.name,
            "cancelled": cancelled,
            "refused": _refused(),
        }
    )


if __name__ == "__main__":
    main()
