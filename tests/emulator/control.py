"""The emulator's own endpoints: its clock, its faults, what its trainings do and come to, and what was asked of it."""

import dataclasses
from typing import Any

from tests.emulator.clock import iso
from tests.emulator.errors import invalid
from tests.emulator.faults import Fault, Kind
from tests.emulator.outcomes import Outcome
from tests.emulator.requests import Recorded
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
    return {"requests": [dataclasses.asdict(recorded) for recorded in _recorded(call)]}


def _count_requests(call: Call) -> Answer:
    return {"count": len(_recorded(call))}


def _recorded(call: Call) -> list[Recorded]:
    asked = call.query
    return call.world.requests.to(asked.get("method", "*"), asked.get("path", "*"), asked.get("operation"))


def _clear_requests(call: Call) -> Answer:
    call.world.requests.clear()
    return {}


def _finetunes(call: Call) -> Answer:
    shown = ("name", "status", "listed")
    return {"finetunes": [{key: getattr(one, key) for key in shown} for one in call.world.finetunes.named.values()]}


def _make_finetunes(call: Call) -> Answer:
    given = call.json()
    made = call.world.held.make(given["like"], given["count"])
    return {"finetunes": [{"name": one.name, "run_id": one.run.id} for one in made]}


def _step_finetunes(call: Call) -> Answer:
    given = call.json()
    call.world.held.step(given["names"], given.get("seconds", 0))
    return {}


def _end_finetunes(call: Call) -> Answer:
    given = call.json()
    call.world.held.end(given["names"], given.get("seconds", 0), given.get("reason"))
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
    ("GET", "/emulator/requests/count", _count_requests),
    ("GET", "/emulator/finetunes", _finetunes),
    ("POST", "/emulator/finetunes", _make_finetunes),
    ("POST", "/emulator/finetunes/step", _step_finetunes),
    ("POST", "/emulator/finetunes/end", _end_finetunes),
)
