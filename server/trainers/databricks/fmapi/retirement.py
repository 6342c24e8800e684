"""Whether FMAPI is retired in a workspace, or something else went wrong.

Databricks announced its removal for August 2026, and how it is refused since is not documented.
"""

from typing import TYPE_CHECKING, Final

from server.databricks.errors import ApiError
from server.databricks.workspace import Workspace
from server.domain.errors import TrainerUnavailable, Unavailable
from server.trainers.databricks.fmapi.catalogue import Catalogue

if TYPE_CHECKING:
    from server.databricks.client import WorkspaceClient

DISABLED: Final = "FEATURE_DISABLED"
GONE: Final = 410
AMBIGUOUS: Final = frozenset({403, 404})
WAY_ON: Final = (
    "Databricks' Foundation Model Fine-tuning API is retired in this workspace and takes no more jobs;"
    " AI Runtime trains the same data: start the job with the trainer AI_RUNTIME"
)


class Retirement:
    """Decides why a run could not be created."""

    def __init__(self, workspace: Workspace, catalogue: Catalogue) -> None:
        self._workspace = workspace
        self._catalogue = catalogue

    async def to_exception(self, error: ApiError) -> Exception:
        """`TrainerUnavailable` when FMAPI is gone for good; `Unavailable` when that is not certain."""
        if _is_plain(error) or (error.status in AMBIGUOUS and await self._is_confirmed(error)):
            return TrainerUnavailable(f"{WAY_ON} ({error})")
        return Unavailable(f"FMAPI does not take the job: {error}")

    async def _is_confirmed(self, error: ApiError) -> bool:
        """Whether reading fails in the same way, while the workspace itself answers."""
        try:
            await self._catalogue.ask()
        except ApiError as second:
            if second.status != error.status and not _is_plain(second):
                return False
        except Unavailable:
            return False
        else:
            return False
        try:
            await self._workspace.call(_who)
        except (ApiError, Unavailable):
            return False
        return True


def _is_plain(error: ApiError) -> bool:
    return error.code == DISABLED or error.status == GONE


def _who(client: "WorkspaceClient") -> object:
    return client.current_user.me()
