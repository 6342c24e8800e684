import json
import sys
from pathlib import Path

import pytest

from examples import chatterbot
from server.imports.lines import parse

GREETINGS = """\
categories:
- greetings
conversations:
- - Hello
  - Hi
  - How are you doing?
  - I am doing well.
- - ' HELLO  '
  - Good day.
- - Is it raining?
  - Yes
- - How many?
  - 5
- - Anybody there?
- - ''
  - Nobody asked.
- - And now?
  - ' '
"""
COFFEE = r"""categories: [food and drink]
conversations:
- - "\uff48ello"
  - Said in another file, which comes first.
- - Où est le café ?
  - |
    Two lines:
    here and there.
"""


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site" / "chatterbot_corpus" / "data" / "english"
    folder.mkdir(parents=True)
    (tmp_path / "site" / "chatterbot_corpus" / "__init__.py").touch()
    (folder / "greetings.yml").write_text(GREETINGS, encoding="utf-8")
    (folder / "coffee.yml").write_text(COFFEE, encoding="utf-8")
    (folder / "notes.txt").write_text("not a conversation", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    monkeypatch.delitem(sys.modules, "chatterbot_corpus", raising=False)
    return folder


def line(item_ref: str, prompt: str, response: str) -> dict[str, str]:
    return {"item_ref": item_ref, "prompt": prompt, "response": response, "status": "labeled"}


def test_each_question_comes_once_with_the_first_answer_given_to_it(corpus: Path) -> None:
    assert chatterbot.lines(corpus) == [
        line("coffee-1", "\uff48ello", "Said in another file, which comes first."),
        line("coffee-2", "Où est le café ?", "Two lines:\nhere and there."),
        line("greetings-3", "Is it raining?", "Yes"),
        line("greetings-4", "How many?", "5"),
    ]


def test_a_folder_without_conversations_gives_no_lines(tmp_path: Path) -> None:
    assert chatterbot.lines(tmp_path) == []


def test_the_program_writes_a_file_that_the_import_reads(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("what was there before", encoding="utf-8")
    assert chatterbot.main([str(out)]) == 0
    written = out.read_bytes().splitlines()
    assert [json.loads(each) for each in written] == chatterbot.lines(corpus)
    read = [parse(each) for each in written]
    assert [(each.item_ref, each.status) for each in read] == [
        ("coffee-1", "LABELED"),
        ("coffee-2", "LABELED"),
        ("greetings-3", "LABELED"),
        ("greetings-4", "LABELED"),
    ]
    assert "café" in out.read_text(encoding="utf-8")
    assert capsys.readouterr() == (f"4 pairs written to {out}\n", "")


def test_without_the_package_it_says_how_to_install_it_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(chatterbot, "PACKAGE", "a_package_that_nobody_has")
    out = tmp_path / "out.jsonl"
    assert chatterbot.main([str(out)]) == 1
    assert not out.exists()
    printed, complaint = capsys.readouterr()
    assert printed == ""
    assert "python -m pip install --no-deps -r examples/chatterbot.lock" in complaint


@pytest.mark.usefixtures("corpus")
def test_a_place_that_cannot_be_written_is_a_clear_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "nowhere" / "out.jsonl"
    assert chatterbot.main([str(out)]) == 1
    assert capsys.readouterr() == ("", f"{out} can't be written: No such file or directory\n")


def test_the_lock_names_one_version_with_hashes_and_no_address() -> None:
    assert chatterbot.__file__ is not None
    lock = Path(chatterbot.__file__).with_suffix(".lock").read_text(encoding="utf-8")
    requirement, *hashes = [each.strip() for each in lock.replace("\\\n", "\n").splitlines()]
    assert requirement == "chatterbot-corpus==1.3.3"
    assert len(hashes) == 2
    assert all(each.startswith("--hash=sha256:") for each in hashes)
    assert "://" not in lock
