"""The base models that FMAPI offers, cached."""

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

FRESH_SECONDS: Final = 600.0  # for which a list is good


class Catalogue:
    """Lists the models anew when the list is older than `FRESH_SECONDS`, and keeps the old one when that fails.

    `known` is the last list; empty before the first.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._listed_at = 0.0
        self.known: Sequence[BaseModel] = ()

    async def models(self) -> Sequence[BaseModel]:
        """The models, in the service's order. Raises `Unavailable` when they could never be listed."""
        if self.known and time.monotonic() - self._listed_at < FRESH_SECONDS:
            return self.known
        try:
            self.known = await self.ask()
        except (Unavailable, ApiError) as error:
            if not self.known:
                raise Unavailable(f"FMAPI's base models can't be listed: {error}") from error
        else:
            self._listed_at = time.monotonic()
        return self.known

    async def ask(self) -> Sequence[BaseModel]:
        """List the models without the cache. Raises `ApiError` and `Unavailable`."""
        constants = await ask(self._workspace, operations.models())
        listed = constants.get("models") if isinstance(constants, dict) else None
        if not isinstance(listed, list):
            raise Unavailable("FMAPI's answer has no list of base models")
        return [model for entry in listed if (model := _model(entry)) is not None]


def _model(entry: object) -> BaseModel | None:
    if not isinstance(entry, dict) or not isinstance(name := entry.get("name"), str) or not name:
        return None
    context = entry.get("maxContextLength")
    return BaseModel(
        name,
        str(entry.get("displayName") or name),
        TrainerKind.FMAPI,
        context if isinstance(context, int) and not isinstance(context, bool) and context > 0 else None,
    )
