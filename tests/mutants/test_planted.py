"""The planted bugs keep up with the sources that they are planted in."""

from pathlib import Path

import pytest

from tests.mutants.planted import MUTANTS, Mutant, Outdated

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_bug_can_be_planted(mutant: Mutant, tmp_path: Path) -> None:
    original = (ROOT / mutant.file).read_text()
    copy = tmp_path / mutant.file
    copy.parent.mkdir(parents=True)
    copy.write_text(original)
    mutant.plant(tmp_path)
    assert copy.read_text() != original
    compile(copy.read_text(), mutant.file, "exec")


def test_names_tell_bugs_apart() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_a_text_that_is_gone_is_said(tmp_path: Path) -> None:
    (tmp_path / "gone.py").write_text("nothing\n")
    with pytest.raises(Outdated, match=r"gone\.py has this 0 times"):
        Mutant("a bug", "gone.py", "something", "anything").plant(tmp_path)
