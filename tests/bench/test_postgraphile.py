import json

from tests.bench.postgraphile import FOLDER


def test_the_lock_holds_no_addresses() -> None:
    assert "://" not in (FOLDER / "package-lock.json").read_text()


def test_every_package_is_locked_exactly_and_by_hash() -> None:
    wanted = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    locked = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    root = locked.pop("")

    assert root["dependencies"] == wanted
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert [name for name, package in locked.items() if not package["integrity"].startswith("sha512-")] == []
