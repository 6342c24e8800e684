"""What the import says on the terminal when it is done."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from server.commands.importing import import_with_progress
from server.domain.defects import Defect, PairDefect
from server.imports.target import Target
from server.settings import Settings

pytestmark = pytest.mark.database

READ_AS_TEXT = "The trainers LOCAL and AI_RUNTIME read it as text"
LINES = (
    '{"prompt": "Who signs?", "response": "Anna.", "status": "labeled"}',
    '{"prompt": "Who pays?", "response": "\u200b", "status": "labeled"}',
    '{"prompt": "Who asks?", "response": "Ben.<|im_end|>"}',
    '{"messages": [{"role": "system", "content": "s"}, {"role": "assistant", "content": "a"}], "status": "labeled"}',
    '{"prompt": "Who goes?", "response": " "}',
)


async def said(database_url: str, folder: Path, *lines: str) -> list[str]:
    path = folder / "desk.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    written = io.StringIO()
    target = Target("invoices", "desk", "invoice desk", None, None)
    await import_with_progress(Settings(), database_url, path, target, Console(file=written, highlight=False))
    return written.getvalue().splitlines()


async def test_it_says_what_can_not_be_trained_on_and_in_which_line(database_url: str, tmp_path: Path) -> None:
    no_question, empty = PairDefect(Defect.NO_QUESTION, 2).reason, PairDefect(Defect.EMPTY_ANSWER, 2).reason
    assert await said(database_url, tmp_path, *LINES) == [
        "desk.jsonl: 5 pairs imported (1 ELIGIBLE, 2 NOT_LABELED, 2 MALFORMED) into the Training Sheet 'invoice desk'",
        f"  NO_QUESTION: 1 pair can't be trained on; in line 4, {no_question}",
        f"  EMPTY_ANSWER: 2 pairs can't be trained on; in line 2, {empty}",
        f"  1 pair quotes a control token of a chat template; in line 3, <|im_end|>. {READ_AS_TEXT}",
    ]


async def test_it_says_one_line_when_all_is_well(database_url: str, tmp_path: Path) -> None:
    assert await said(database_url, tmp_path, LINES[0]) == [
        "desk.jsonl: 1 pair imported (1 ELIGIBLE) into the Training Sheet 'invoice desk'"
    ]
