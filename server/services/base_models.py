"""The models that can be trained, as the trainers last said."""

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from server.domain.errors import Unavailable
from server.domain.status import TrainerKind
from server.reconciler.calls import call_with_timeout
from server.trainers.trainer import BaseModel, Trainer

FRESH_SECONDS = 300.0  # for which a trainer's list is kept
TIMEOUT_SECONDS = 5.0  # that a list waits for a trainer

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()


class BaseModels:
    """Asks the trainers, and remembers: one that can't be reached contributes what it said before."""

    def __init__(self, trainers: Mapping[TrainerKind, Trainer]) -> None:
        self._trainers = trainers
        self._known: dict[TrainerKind, tuple[float, Sequence[BaseModel]]] = {}

    async def list(self, kind: TrainerKind | None = None) -> Sequence[BaseModel]:
        """The base models of one trainer or of all, each trainer's in its own order."""
        kinds = [one for one in self._trainers if kind in {None, one}]
        lists = await asyncio.gather(*(self._models(one) for one in kinds))
        return [model for models in lists for model in models]

    async def _models(self, kind: TrainerKind) -> Sequence[BaseModel]:
        now = asyncio.get_running_loop().time()
        at, models = self._known.get(kind, (None, ()))
        if at is not None and now - at < FRESH_SECONDS:
            return models
        try:
            models = await call_with_timeout(
                self._trainers[kind].base_models(), name=f"the trainer {kind}", timeout_seconds=TIMEOUT_SECONDS
            )
        except Unavailable as error:
            log.warning("base models could not be listed", trainer=kind, reason=str(error))
            return models
        self._known[kind] = (now, models)
        return models
