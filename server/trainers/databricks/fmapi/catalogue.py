"""The base models that FMAPI has, as it last said."""

import time
from collections.abc import Sequence
from typing import Final

from server.databricks.errors import ApiError
from server.databricks.workspace import Workspace
from server.domain.errors import Unavailable
from server.domain.status import TrainerKind
from server.trainers.databricks.fmapi import operations
from server.trainers.databricks.fmapi.calls import ask
from server.trainers.trainer import BaseModel

FRESH: Final = 600.0  # seconds for which a list is good


class Catalogue:
    """Asks again when the list is old, and keeps to it when there is no answer."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._asked_at = 0.0
        self.known: Sequence[BaseModel] = ()

    async def models(self) -> Sequence[BaseModel]:
        """The models, in the service's order. Raises `Unavailable` when there never was an answer."""
        if self.known and time.monotonic() - self._asked_at < FRESH:
            return self.known
        try:
            self.known = await self.ask()
        except (Unavailable, ApiError) as error:
            if not self.known:
                raise Unavailable(f"FMAPI's base models can't be listed: {error}") from error
        else:
            self._asked_at = time.monotonic()
        return self.known

    async def ask(self) -> Sequence[BaseModel]:
        """Ask, whatever is known. Raises `ApiError` and `Unavailable`."""
        answer = await ask(self._workspace, operations.models())
        listed = answer.get("models") if isinstance(answer, dict) else None
        if not isinstance(listed, list):
            raise Unavailable("FMAPI's answer has no list of base models")
        return [model for told in listed if (model := _model(told)) is not None]


def _model(told: object) -> BaseModel | None:
    if not isinstance(told, dict) or not isinstance(name := told.get("name"), str) or not name:
        return None
    context = told.get("maxContextLength")
    return BaseModel(
        name,
        str(told.get("displayName") or name),
        TrainerKind.FMAPI,
        context if isinstance(context, int) and not isinstance(context, bool) and context > 0 else None,
    )
