"""The training's run in MLflow, when the environment names one: parameters, metrics, the model, and how it ended."""

import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .hyperparameters import Request, used
from .progress import Point

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

MODEL: Final = "model"
CUSTOM: Final = "custom_metrics.json"
VERSION_TAG: Final = "tunegraph.model_version"
ERROR_CODE_TAG: Final = "tunegraph.error_code"
ERROR_TAG: Final = "tunegraph.error"
REGISTRATION_ERROR_TAG: Final = "tunegraph.registration_error"

# https://mlflow.org/docs/latest/rest-api.html: what one request or one value may hold
METRICS_PER_BATCH: Final = 1000
PARAMETERS_PER_BATCH: Final = 100
KEY_CHARACTERS: Final = 250
PARAMETER_CHARACTERS: Final = 6000
TAG_CHARACTERS: Final = 5000

PAUSES_SECONDS: Final = (2.0, 10.0)  # before a registration is tried again
BETWEEN_BATCHES_SECONDS: Final = 2.0  # a request takes its time, and the GPU would wait for it

logger = logging.getLogger(__name__)


class Tracking:
    """One run in MLflow. A metric that can't be logged is kept for the next try, and training goes on."""

    def __init__(self, client: "MlflowClient", run_id: str) -> None:
        self._client = client
        self._run_id = run_id
        self._waiting: list[Metric] = []
        self._logged_at = 0.0

    def begin(self, request: Request) -> None:
        """Log what is trained with what: also keys of the configuration that are not known."""
        from mlflow.entities import Param  # noqa: PLC0415  (MLflow takes seconds to import)

        values: Mapping[str, object] = {
            **request.described,
            "seed": request.seed,
            **request.config,
            **used(request.config),
        }
        texts = {
            _key(key): value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
            for key, value in values.items()
        }
        # what somebody has logged already stands: MLflow never lets a parameter change
        logged = self._client.get_run(self._run_id).data.params
        params = [Param(key, text[:PARAMETER_CHARACTERS]) for key, text in texts.items() if key not in logged]
        for start in range(0, len(params), PARAMETERS_PER_BATCH):
            self._client.log_batch(self._run_id, params=params[start : start + PARAMETERS_PER_BATCH])

    def point(self, point: Point, tokens: int) -> None:
        """Log the metrics of a step, and how many tokens were seen by then, with what follows it soon."""
        from mlflow.entities import Metric  # noqa: PLC0415  (the same)

        at = int(point.at.timestamp() * 1000)
        values = {**point.values, "epoch": point.epoch, "num_tokens": float(tokens)}
        self._waiting.extend(Metric(key, value, at, point.step) for key, value in values.items())
        if time.monotonic() - self._logged_at >= BETWEEN_BATCHES_SECONDS:
            try:
                self.flush()
            except Exception:  # MLflow lets errors of requests, SQLAlchemy and the file system through
                logger.warning("MLflow does not answer; the metrics are kept for the next try", exc_info=True)
            self._logged_at = time.monotonic()

    def flush(self) -> None:
        """Log what waits."""
        while batch := self._waiting[:METRICS_PER_BATCH]:
            self._client.log_batch(self._run_id, metrics=batch)
            del self._waiting[: len(batch)]

    def custom(self, metrics: Mapping[str, object]) -> None:
        """Keep what belongs beside the metrics, as one JSON file of the run."""
        self._client.log_dict(self._run_id, dict(metrics), CUSTOM)

    def model(self, folder: Path, register_as: str | None) -> None:
        """Log a model in MLflow's format with the run, and register it as a version if a name is given.

        A model that can't be registered is no failed training: the reason stands in the run's tags.
        """
        self.flush()
        self._client.log_artifacts(self._run_id, str(folder), MODEL)
        if register_as is not None:
            self._register(register_as)

    def end(self, status: str, code: str | None = None, message: str | None = None) -> None:
        """End the run as FINISHED, FAILED or KILLED; why stands in its tags."""
        self.flush()
        for key, text in ((ERROR_CODE_TAG, code), (ERROR_TAG, message)):
            if text is not None:
                self._client.set_tag(self._run_id, key, text[:TAG_CHARACTERS])
        self._client.set_terminated(self._run_id, status)

    def _register(self, name: str) -> None:
        import mlflow  # noqa: PLC0415  (MLflow takes seconds to import)

        for pause in (*PAUSES_SECONDS, None):
            try:
                version = mlflow.register_model(f"runs:/{self._run_id}/{MODEL}", name)
            except Exception as error:
                logger.exception("the model could not be registered as %s", name)
                if pause is None:  # what was trained is with the run, and can still be registered by hand
                    self._client.set_tag(self._run_id, REGISTRATION_ERROR_TAG, f"{error}"[:TAG_CHARACTERS])
                    return
                time.sleep(pause)
            else:
                self._client.set_tag(self._run_id, VERSION_TAG, str(version.version))
                return


def from_environment() -> Tracking | None:
    """The run that MLFLOW_RUN_ID names; None without it, and in all but the first of several processes."""
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if not run_id or os.environ.get("RANK", "0") != "0":
        return None
    import mlflow  # noqa: PLC0415  (the same)

    return Tracking(mlflow.MlflowClient(), run_id)


def _key(name: str) -> str:
    """A name that MLflow takes."""
    return "".join(letter if letter.isalnum() or letter in "_-. :/" else "_" for letter in name)[:KEY_CHARACTERS]
