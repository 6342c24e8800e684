"""The emulator's own endpoints: its clock, its faults, the outcomes of its trainings and what was asked of it."""

import dataclasses
from typing import Any

from tests.emulator.clock import iso
from tests.emulator.errors import invalid
from tests.emulator.faults import Fault, Kind
from tests.emulator.outcomes import Outcome
from tests.emulator.routing import Answer, Call, Routes


def _clock(call: Call) -> Answer:
    return {"now": iso(call.world.clock.now()), "seconds": call.world.clock.now()}


def _advance(call: Call) -> Answer:
    seconds = call.json().get("advance")
    if not isinstance(seconds, int | float) or seconds < 0:
        raise invalid("advance is a number of seconds, 0 or more")
    call.world.clock.advance(seconds)
    return _clock(call)


def _faults(call: Call) -> Answer:
    return {"faults": [dataclasses.asdict(fault) for fault in call.world.faults.scripted]}


def _add_fault(call: Call) -> Answer:
    given = call.json()
    try:
        fault = Fault(**{**given, "kind": Kind(given.get("kind", ""))})
    except (TypeError, ValueError) as error:
        raise invalid(str(error)) from None
    call.world.faults.add(fault)
    return dataclasses.asdict(fault)


def _clear_faults(call: Call) -> Answer:
    call.world.faults.clear()
    return {}


def _add_outcome(call: Call) -> Answer:
    given: dict[str, Any] = call.json()
    try:
        outcome = Outcome(**given)
    except TypeError as error:
        raise invalid(str(error)) from None
    call.world.outcomes.add(outcome)
    return dataclasses.asdict(outcome)


def _requests(call: Call) -> Answer:
    found = call.world.requests.to(
        call.query.get("method", "*"), call.query.get("path", "*"), call.query.get("operation")
    )
    return {"requests": [dataclasses.asdict(recorded) for recorded in found]}


def _clear_requests(call: Call) -> Answer:
    call.world.requests.clear()
    return {}


ROUTES: Routes = (
    ("GET", "/emulator/clock", _clock),
    ("POST", "/emulator/clock", _advance),
    ("GET", "/emulator/faults", _faults),
    ("POST", "/emulator/faults", _add_fault),
    ("DELETE", "/emulator/faults", _clear_faults),
    ("POST", "/emulator/outcomes", _add_outcome),
    ("GET", "/emulator/requests", _requests),
    ("DELETE", "/emulator/requests", _clear_requests),
)
