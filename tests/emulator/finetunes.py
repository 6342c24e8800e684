"""FMAPI's fine-tuning runs: created, found, stopped and deleted."""

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.emulator.clock import Agenda, iso
from tests.emulator.dataset import Datasets
from tests.emulator.disk import Disk
from tests.emulator.errors import ApiError, invalid
from tests.emulator.finetuning import FINAL, Finetune, Finetuning
from tests.emulator.identifiers import Identifiers
from tests.emulator.learning import DURATION
from tests.emulator.options import Options
from tests.emulator.outcomes import Outcomes
from tests.emulator.registry import Registry
from tests.emulator.tracking_store import TrackingStore

TASKS = frozenset({"CHAT_COMPLETION", "INSTRUCTION_FINETUNE", "CONTINUED_PRETRAIN"})
PAGE = 100
SLUG = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Page:
    finetunes: list[Finetune]
    cursor: str | None


@dataclass(slots=True)
class Finetunes:
    """All of a workspace's, in the order in which they were created."""

    agenda: Agenda
    ids: Identifiers
    disk: Disk
    tracking: TrackingStore
    registry: Registry
    outcomes: Outcomes
    options: Options
    named: dict[str, Finetune] = field(default_factory=dict)

    def create(self, config: dict[str, Any], by: str) -> Finetune:
        """Start one, with an MLflow experiment and run for it.

        Raises:
            ApiError: When the configuration is refused; nothing is made then.
        """
        self._check(config)
        tracker = config["experimentTracker"]["mlflow"]
        slug = SLUG.sub("-", config["model"].rpartition("/")[2].lower()).strip("-")
        name = f"ift-{slug}-{self.ids.word()}"
        path = tracker["experimentPath"].replace("{}", name)
        experiment = self.tracking.obtain_experiment(path)
        run = self.tracking.create_run(experiment.id, by, name)
        outcome = self.outcomes.take(path)
        now = self.agenda.now()
        one = Finetune(
            id=self.ids.hexadecimal(24),
            name=name,
            by=by,
            created=now,
            updated=now,
            config=config,
            experiment_path=path,
            experiment=experiment.id,
            run=run,
            outcome=outcome,
            pace=outcome.pace or self.options.pace,
        )
        self.named[name] = one
        self._course(one).begin()
        return one

    def _course(self, one: Finetune) -> Finetuning:
        datasets = Datasets(self.disk, {**self.options.tables, **self.options.datasets})
        return Finetuning(one, self.agenda, datasets, self.tracking, self.registry)

    def _check(self, config: dict[str, Any]) -> None:
        models = {name for name, _, _ in self.options.models}
        if config["model"] not in models:
            raise invalid(f"Bad run request: model {config['model']} is not supported")
        if config["taskType"] not in TASKS:
            raise invalid(f"Bad run request: taskType must be one of {', '.join(sorted(TASKS))}")
        if DURATION.fullmatch(config["trainingDuration"]) is None:
            raise invalid("Bad run request: trainingDuration must be a duration such as 3ep, 100ba or 1_000_000tok")

    def get(self, name: str) -> Finetune:
        if name not in self.named:
            raise ApiError(404, "NOT_FOUND", f"Finetuning run {name} not found")
        return self.named[name]

    def find(self, asked: dict[str, Any]) -> list[Finetune]:
        """Those that fit all filters, the newest first."""
        filters = asked.get("filters") or {}
        emails = (asked.get("entity") or {}).get("emails")
        tests: list[Callable[[Finetune], bool]] = [
            _text(filters.get("name"), lambda one: one.name),
            _text(filters.get("status"), lambda one: one.status),
            _text(filters.get("mlflowExperimentId"), lambda one: one.experiment),
            _time(filters.get("createdAt")),
            lambda one: emails is None or one.by in emails,
            lambda one: bool(asked.get("includeDeleted")) or not one.deleted,
        ]
        return [one for one in reversed(list(self.named.values())) if all(test(one) for test in tests)]

    def page(self, asked: dict[str, Any]) -> Page:
        """A page of those: at most `limit` and at most the workspace's own maximum, after `cursor`."""
        limit = asked.get("limit") or PAGE
        if limit < 1:
            raise invalid("limit must be at least 1")
        limit = min(limit, self.options.page_max)
        found = self.find(asked)
        if asked.get("cursor"):
            after = _after(asked["cursor"])
            found = [one for one in found if (one.created, one.id) < after]
        shown = found[:limit]
        for one in shown:
            one.listed.append(self.agenda.now())
        return Page(shown, _cursor(shown[-1]) if len(found) > limit else None)

    def stop(self, asked: dict[str, Any], reason: str) -> list[Finetune]:
        """Ask those to stop that have not come to an end; which they are."""
        found = [one for one in self.find(asked) if one.status not in FINAL and not one.stopping]
        for one in found:
            self._course(one).stop(reason)
        return found

    def delete(self, asked: dict[str, Any]) -> list[Finetune]:
        """Hide those that have come to an end."""
        found = [one for one in self.find(asked) if one.status in FINAL]
        for one in found:
            one.deleted, one.updated = True, self.agenda.now()
        return found


def _text(wanted: dict[str, Any] | None, of: Callable[[Finetune], str]) -> Callable[[Finetune], bool]:
    """`in` and `equals`, both of which may be given."""
    asked = {name: value for name, value in (wanted or {}).items() if value is not None}
    choices = frozenset(asked["in"]) if "in" in asked else None
    equal = asked.get("equals")
    return lambda one: (choices is None or of(one) in choices) and equal in (None, of(one))


def _time(wanted: dict[str, Any] | None) -> Callable[[Finetune], bool]:
    asked = {name: _seconds(value) for name, value in (wanted or {}).items() if value is not None}
    infinity = float("inf")
    return lambda one: (
        one.created < asked.get("lt", infinity)
        and one.created <= asked.get("lte", infinity)
        and one.created > asked.get("gt", -infinity)
        and one.created >= asked.get("gte", -infinity)
    )


def _seconds(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise invalid(f"{text!r} is not a time") from None


def _cursor(one: Finetune) -> str:
    return base64.urlsafe_b64encode(json.dumps([one.created, one.id]).encode()).decode()


def _after(cursor: str) -> tuple[float, str]:
    try:
        created, identifier = json.loads(base64.urlsafe_b64decode(cursor))
        return float(created), str(identifier)
    except (binascii.Error, ValueError, TypeError):
        raise invalid("The cursor is not valid") from None


def described(one: Finetune) -> dict[str, Any]:
    """One in the API's words."""
    tracker = dict(one.config["experimentTracker"]["mlflow"])
    tracker |= {"experimentPath": one.experiment_path, "mlflowExperimentId": one.experiment, "mlflowRunId": one.run.id}
    details = one.config | {
        "experimentTracker": {"mlflow": tracker},
        "dataPrepConfig": one.config.get("dataPrepConfig") or {},
        "formattedFinetuningEvents": events(one),
    }
    return {
        "id": one.id,
        "name": one.name,
        "status": one.status,
        "createdById": one.by,
        "createdByEmail": one.by,
        "createdAt": iso(one.created),
        "updatedAt": iso(one.updated),
        "startedAt": None if one.started is None else iso(one.started),
        "completedAt": None if one.completed is None else iso(one.completed),
        "reason": one.reason,
        "estimatedEndTime": None if one.estimated_end is None else iso(one.estimated_end),
        "isDeleted": one.deleted,
        "details": details,
    }


def events(one: Finetune) -> list[dict[str, str]]:
    return [{"eventType": kind, "eventTime": iso(at), "eventMessage": message} for kind, at, message in one.events]
