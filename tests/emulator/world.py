"""All that one emulated workspace holds."""

from pathlib import Path

from tests.emulator.clock import Agenda, Clock
from tests.emulator.disk import Disk
from tests.emulator.faults import Faults
from tests.emulator.finetunes import Finetunes
from tests.emulator.held import Held
from tests.emulator.identifiers import Identifiers
from tests.emulator.options import Options
from tests.emulator.outcomes import Outcomes
from tests.emulator.registry import Registry
from tests.emulator.requests import Requests
from tests.emulator.tracking_store import TrackingStore
from tests.emulator.training_runs import TrainingRuns

WORKSPACE_ID = 999


class World:
    """One workspace, its files below `folder`."""

    def __init__(self, options: Options, folder: Path) -> None:
        self.options = options
        self.clock = Clock(options.held_at)
        self.agenda = Agenda(self.clock)
        self.requests = Requests()
        self.faults = Faults()
        self.outcomes = Outcomes()
        self.issued: dict[str, float] = {}
        ids = Identifiers(options.seed)
        self.ids = ids
        self.disk = Disk(folder, options.volumes)
        for home in (f"/Users/{options.user}", "/Shared"):
            self.disk.workspace(home).mkdir(parents=True, exist_ok=True)
        self.tracking = TrackingStore(self.agenda, ids, self.disk)
        self.registry = Registry(self.agenda, ids, options.schemas)
        self.finetunes = Finetunes(self.agenda, ids, self.disk, self.tracking, self.registry, self.outcomes, options)
        self.held = Held(self.agenda, self.finetunes, self.tracking)
        self.training_runs = TrainingRuns(
            self.agenda, ids, self.disk, self.tracking, self.registry, self.outcomes, options.pace
        )
