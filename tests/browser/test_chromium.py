from pathlib import Path

import pytest

from tests.browser.chromium import NoChromium, chromium, find_chromium


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROMIUM", raising=False)
    return tmp_path


def program(path: Path, script: str = "") -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return path


def test_the_first_of_the_usual_names_is_taken(programs: Path) -> None:
    program(programs / "google-chrome")
    wanted = program(programs / "chromium-browser")

    assert find_chromium() == str(wanted)


def test_the_environment_names_a_browser_of_ones_own(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(programs / "chromium")
    monkeypatch.setenv("CHROMIUM", str(program(programs / "my-browser")))

    assert find_chromium() == str(programs / "my-browser")


def test_a_named_browser_that_is_not_there_is_not_replaced_by_another(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(programs / "chromium")
    monkeypatch.setenv("CHROMIUM", "/nowhere/browser")

    with pytest.raises(NoChromium, match="CHROMIUM names /nowhere/browser, which is not a program"):
        find_chromium()


@pytest.mark.usefixtures("programs")
def test_without_a_browser_the_message_says_how_to_get_one() -> None:
    with pytest.raises(NoChromium, match="apt-get install chromium"):
        find_chromium()


async def test_a_browser_that_ends_at_once_is_reported_with_its_last_words(programs: Path) -> None:
    program(programs / "chromium", "echo cannot open display >&2; exit 1")

    with pytest.raises(NoChromium, match="Chromium ended at once:\ncannot open display"):
        async with chromium("127.0.0.1"):
            pytest.fail("it did not start")
