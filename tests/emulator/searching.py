"""MLflow's language for searching runs: comparisons joined by AND, and an order."""

import operator
import re
from collections.abc import Callable, Sequence

from tests.emulator.errors import invalid
from tests.emulator.tracking_store import Run

COMPARISON = re.compile(
    r"""\s*(?:(?P<kind>\w+)\.)?(?P<key>`[^`]+`|"[^"]+"|[\w/.\-]+)\s*
    (?P<operator>!=|>=|<=|=|>|<|\bLIKE\b|\bILIKE\b|\bIN\b)\s*
    (?P<value>'[^']*'|"[^"]*"|\([^)]*\)|[-+.\w]+)\s*""",
    re.VERBOSE | re.IGNORECASE,
)
NUMBERS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
ATTRIBUTES = {"run_id": "id", "run_name": "name", "status": "status", "user_id": "user", "start_time": "started"}
ATTRIBUTES |= {"attributes.end_time": "ended", "end_time": "ended", "created": "started"}


def matcher(query: str) -> Callable[[Run], bool]:
    """What tells whether a run is looked for."""
    tests: list[Callable[[Run], bool]] = []
    at = 0
    while at < len(query.rstrip()):
        found = COMPARISON.match(query, at)
        if found is None:
            raise invalid(f"Invalid clause(s) in filter string: {query[at:]!r}")
        tests.append(_comparison(found))
        at = found.end()
        joined = re.compile(r"and\b\s*", re.IGNORECASE).match(query, at)
        if joined is None and at < len(query.rstrip()):
            raise invalid(f"Invalid filter string: expected AND before {query[at:]!r}")
        at = joined.end() if joined else at
    return lambda run: all(test(run) for test in tests)


def _value(run: Run, kind: str, key: str) -> float | str | None:
    match kind.lower():
        case "metric" | "metrics":
            latest = run.latest().get(key)
            return None if latest is None else latest.value
        case "param" | "params" | "parameter":
            return run.params.get(key)
        case "tag" | "tags":
            return run.tags.get(key)
        case "attribute" | "attributes" | "attr" | "run" | "":
            if key not in ATTRIBUTES:
                raise invalid(f"Invalid attribute key '{key}' specified.")
            value: float | str | None = getattr(run, ATTRIBUTES[key])
            return value
        case _:
            raise invalid(f"Invalid entity type '{kind}'.")


def _comparison(found: re.Match[str]) -> Callable[[Run], bool]:
    kind, key = found["kind"] or "", found["key"].strip('`"')
    sign, wanted = found["operator"].upper(), found["value"]
    if sign == "IN":
        choices = {choice.strip().strip("'\"") for choice in wanted[1:-1].split(",")}
        return lambda run: _value(run, kind, key) in choices
    plain = wanted.strip("'\"")
    if sign in ("LIKE", "ILIKE"):
        flags = re.IGNORECASE if sign == "ILIKE" else 0
        pattern = re.compile(re.escape(plain).replace("%", ".*").replace("_", "."), flags | re.DOTALL)
        return lambda run: pattern.fullmatch(str(_value(run, kind, key) or "")) is not None

    def compared(run: Run) -> bool:
        value = _value(run, kind, key)
        if value is None:
            return False
        if isinstance(value, str):
            return (value == plain) == (sign == "=")
        return NUMBERS[sign](value, float(plain))

    return compared


def ordered(runs: Sequence[Run], order_by: Sequence[str]) -> list[Run]:
    """In the order asked for; the newest first where nothing else decides."""
    found = sorted(runs, key=lambda run: (-run.started, run.id))
    for clause in reversed(order_by):
        column, _, direction = clause.strip().partition(" ")
        kind, _, key = column.rpartition(".")

        def rank(run: Run, kind: str = kind, key: str = key.strip('`"')) -> tuple[bool, float | str]:
            value = _value(run, kind, key)
            return (value is None, "" if value is None else value)

        present = [run for run in found if not rank(run)[0]]
        absent = [run for run in found if rank(run)[0]]
        present.sort(key=lambda run: rank(run)[1], reverse=direction.strip().upper() == "DESC")
        found = present + absent
    return found
