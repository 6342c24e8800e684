"""Unity Catalog's registered models, their versions and aliases: one store under both of its views."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from tests.emulator.clock import Agenda
from tests.emulator.errors import ApiError, invalid
from tests.emulator.identifiers import Identifiers
from tests.emulator.tracking_store import Run

PENDING, READY, FAILED = "PENDING_REGISTRATION", "READY", "FAILED_REGISTRATION"
NAME_PARTS = 3


@dataclass(slots=True)
class Version:
    """A version of a model. `source` says where its files came from."""

    number: int
    source: str
    run_id: str
    created: int
    by: str
    status: str = PENDING
    comment: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    updated: int = 0


@dataclass(slots=True)
class Model:
    name: str
    id: str
    owner: str
    created: int
    updated: int
    comment: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    versions: dict[int, Version] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    last: int = 0

    def aliases_of(self, number: int) -> list[str]:
        return sorted(alias for alias, version in self.aliases.items() if version == number)


class Registry:
    def __init__(self, agenda: Agenda, ids: Identifiers, schemas: AbstractSet[str]) -> None:
        self._agenda = agenda
        self._ids = ids
        self.schemas = schemas
        self.models: dict[str, Model] = {}

    def check_schema(self, name: str) -> None:
        """Refuse a name whose catalog or schema is not there."""
        catalog, _, _ = name.partition(".")
        if catalog not in {schema.partition(".")[0] for schema in self.schemas}:
            raise ApiError(404, "CATALOG_DOES_NOT_EXIST", f"Catalog '{catalog}' does not exist.")
        schema = ".".join(name.split(".")[:2])
        if schema not in self.schemas:
            raise ApiError(404, "SCHEMA_DOES_NOT_EXIST", f"Schema '{schema}' does not exist.")

    def get(self, name: str) -> Model:
        if name not in self.models:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Registered model '{name}' does not exist.")
        return self.models[name]

    def create(self, name: str, owner: str, comment: str = "", tags: dict[str, str] | None = None) -> Model:
        if len(name.split(".")) != NAME_PARTS or not all(name.split(".")):
            raise invalid(f"'{name}' is not a name of three levels: catalog.schema.model")
        self.check_schema(name)
        if name in self.models:
            raise ApiError(409, "RESOURCE_ALREADY_EXISTS", f"Registered model '{name}' already exists.")
        now = self._agenda.millis()
        self.models[name] = Model(name, self._ids.hexadecimal(), owner, now, now, comment, dict(tags or {}))
        return self.models[name]

    def delete(self, name: str, *, force: bool = False) -> None:
        if self.get(name).versions and not force:
            raise ApiError(400, "INVALID_STATE", f"Registered model '{name}' is not empty: it has versions.")
        del self.models[name]

    def version(self, name: str, number: int) -> Version:
        model = self.get(name)
        if number not in model.versions:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Model version '{number}' of '{name}' does not exist.")
        return model.versions[number]

    def create_version(self, name: str, source: str, run_id: str, by: str, comment: str = "") -> Version:
        """The next version, waiting for its files."""
        model = self.get(name)
        model.last += 1
        made = Version(model.last, source, run_id, self._agenda.millis(), by, comment=comment)
        made.updated = model.updated = made.created
        model.versions[made.number] = made
        return made

    def register(self, name: str, source: str, run: Run, settle: str, after: float) -> Version:
        """Make a version as a training does: it settles as `settle` after so many seconds (PENDING: never)."""
        if name not in self.models:
            self.create(name, run.user)
        made = self.create_version(name, source, run.id, run.user)
        if settle != PENDING:
            self._agenda.after(after, lambda: self.settle(made, settle))
        return made

    def settle(self, version: Version, status: str) -> None:
        version.status, version.updated = status, self._agenda.millis()

    def delete_version(self, name: str, number: int) -> None:
        self.version(name, number)
        model = self.get(name)
        del model.versions[number]
        model.aliases = {alias: version for alias, version in model.aliases.items() if version != number}

    def set_alias(self, name: str, alias: str, number: int) -> None:
        self.version(name, number)
        if not alias or alias.lower() == "latest" or (alias[:1].lower() == "v" and alias[1:].isdigit()):
            raise invalid(f"'{alias}' is not a valid alias: it is reserved.")
        self.get(name).aliases[alias] = number

    def delete_alias(self, name: str, alias: str) -> None:
        if self.get(name).aliases.pop(alias, None) is None:
            raise _no_alias(name, alias)

    def aliased(self, name: str, alias: str) -> Version:
        number = self.get(name).aliases.get(alias)
        if number is None:
            raise _no_alias(name, alias)
        return self.version(name, number)


def _no_alias(name: str, alias: str) -> ApiError:
    return ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Alias '{alias}' of '{name}' does not exist.")
