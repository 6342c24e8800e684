import re

from tests.bench import strawchemy


def test_the_lock_holds_hashes_and_no_addresses() -> None:
    lock = strawchemy.LOCK.read_text(encoding="utf-8")

    assert "://" not in lock
    requirements = re.split(r"\n(?=\S)", lock.strip())
    assert [requirement for requirement in requirements if "--hash=sha256:" not in requirement] == []


def test_its_version_is_that_of_the_lock() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", strawchemy.version())
