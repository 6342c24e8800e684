"""What follows from messages: the turn of a defect, quoted control tokens, digests by the rules of now.

The exported line of now escapes what `str.splitlines` takes for the end of a line, and the key by which the split groups
questions leaves more out, so both digests of a pair are derived again. What jobs froze stays as it was.

The rules are those of the code that runs this. Whoever changes one of them writes a migration that derives again, too.
"""

import hashlib
import json
import unicodedata
from collections.abc import Callable, Iterator, Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from server.domain.derived import derive
from server.domain.examples import Message, export_line, first_export_line, line_digest


revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

PAIRS_AT_ONCE = 200  # pairs; one may be large
UNCHANGING = "id, training_sheet_id, item_ref, messages, defect, question_digest, line_digest, created_at"
ADDED = "defect_turn, control_token"
DEFECTS = (
    "EMPTY_ANSWER",
    "EMPTY_QUESTION",
    "ENDS_WITH_USER",
    "NO_ASSISTANT_TURN",
    "NO_QUESTION",
    "SAME_ROLE_TWICE",
    "SYSTEM_NOT_FIRST",
)
DERIVED = ("defect", "defect_turn", "control_token", "question_digest", "line_digest")
Derive = Callable[[Sequence[Message], str | None], tuple[object, ...]]

PORTION = sa.text("""
    SELECT pair.id, pair.messages, pair.defect, pair.defect_turn, pair.control_token, pair.question_digest,
        pair.line_digest, template.system_prompt
    FROM qa_pairs AS pair
    JOIN training_sheets AS training ON training.id = pair.training_sheet_id
    JOIN templates AS template ON template.id = training.template_id
    WHERE pair.id > :after ORDER BY pair.id LIMIT :pairs
""").columns(messages=sa.JSON)
WRITE = sa.text("""
    UPDATE qa_pairs AS pair
    SET defect = new.defect, defect_turn = new.defect_turn, control_token = new.control_token,
        question_digest = new.question_digest, line_digest = new.line_digest
    FROM unnest(:ids, :defect, :defect_turn, :control_token, :question_digest, :line_digest)
        AS new (id, defect, defect_turn, control_token, question_digest, line_digest)
    WHERE pair.id = new.id
""").bindparams(
    *(sa.bindparam(name, type_=postgresql.ARRAY(sa.Text)) for name in ("ids", *DERIVED) if name != "defect_turn"),
    sa.bindparam("defect_turn", type_=postgresql.ARRAY(sa.Integer)),
)
FREEZE_AGAIN = sa.text("""
    UPDATE training_job_pairs AS frozen SET digest = new.first
    FROM training_jobs AS job, unnest(:ids, :now, :first) AS new (id, now, first)
    WHERE frozen.qa_pair_id = new.id AND frozen.digest = new.now AND job.id = frozen.job_id
        AND job.status = 'PENDING' AND job.dataset_digest IS NULL
""").bindparams(*(sa.bindparam(name, type_=postgresql.ARRAY(sa.Text)) for name in ("ids", "now", "first")))


def upgrade() -> None:
    op.add_column("qa_pairs", sa.Column("defect_turn", sa.Integer(), nullable=True))
    op.add_column("qa_pairs", sa.Column("control_token", sa.String(), nullable=True))
    op.execute("DROP TRIGGER qa_pairs_never_change ON qa_pairs")
    for portion in _portions():
        _derive_again(portion, _derive)
    _never_change(f"{UNCHANGING}, {ADDED}")
    words = ", ".join(f"'{word}'" for word in DEFECTS)
    op.create_check_constraint(op.f("ck_qa_pairs_defect"), "qa_pairs", f"defect IN ({words})")
    op.create_check_constraint(
        op.f("ck_qa_pairs_defect_turn"),
        "qa_pairs",
        "defect_turn IS NULL OR defect_turn >= 1 AND defect IS NOT NULL",
    )


def downgrade() -> None:
    """Jobs that wait and were not exported yet freeze the lines of before, which is all that the server of before knows."""
    op.drop_constraint(op.f("ck_qa_pairs_defect_turn"), "qa_pairs", type_="check")
    op.drop_constraint(op.f("ck_qa_pairs_defect"), "qa_pairs", type_="check")
    op.execute("DROP TRIGGER qa_pairs_never_change ON qa_pairs")
    op.execute("ALTER TABLE training_job_pairs DISABLE TRIGGER training_job_pairs_never_change")
    for portion in _portions():
        _freeze_again(portion)
        _derive_again(portion, _derive_as_before)
    op.execute("ALTER TABLE training_job_pairs ENABLE TRIGGER training_job_pairs_never_change")
    op.drop_column("qa_pairs", "control_token")
    op.drop_column("qa_pairs", "defect_turn")
    _never_change(UNCHANGING)


def _never_change(columns: str) -> None:
    op.execute(
        f"CREATE TRIGGER qa_pairs_never_change BEFORE UPDATE OF {columns} ON qa_pairs"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )


def _portions() -> Iterator[Sequence[sa.Row]]:
    after = ""
    while portion := op.get_bind().execute(PORTION, {"after": after, "pairs": PAIRS_AT_ONCE}).all():
        yield portion
        after = portion[-1].id


def _messages(row: sa.Row) -> list[Message]:
    return [Message(turn["role"], turn["content"]) for turn in row.messages]


def _derive_again(portion: Sequence[sa.Row], rule: Derive) -> None:
    changed: dict[str, tuple[object, ...]] = {}
    for row in portion:
        derived = rule(_messages(row), row.system_prompt)
        if derived != tuple(getattr(row, name) for name in DERIVED):
            changed[row.id] = derived
    if changed:
        columns = dict(zip(DERIVED, map(list, zip(*changed.values(), strict=True)), strict=True))
        op.get_bind().execute(WRITE, {"ids": list(changed), **columns})


def _derive(messages: Sequence[Message], system_prompt: str | None) -> tuple[object, ...]:
    derived = derive(messages, system_prompt)
    return tuple(getattr(derived, name) for name in DERIVED)


def _freeze_again(portion: Sequence[sa.Row]) -> None:
    lines = [
        (row.id, export_line(_messages(row), row.system_prompt), first_export_line(_messages(row), row.system_prompt))
        for row in portion
    ]
    differing = [(pair_id, line_digest(now), line_digest(first)) for pair_id, now, first in lines if now != first]
    if differing:
        ids, now, first = map(list, zip(*differing, strict=True))
        op.get_bind().execute(FREEZE_AGAIN, {"ids": ids, "now": now, "first": first})


def _derive_as_before(messages: Sequence[Message], system_prompt: str | None) -> tuple[object, ...]:
    """By the rules of the versions up to 0003."""
    last = max((index for index, message in enumerate(messages) if message.role == "assistant"), default=None)
    question = [
        [message.role, " ".join(unicodedata.normalize("NFKC", message.content).casefold().split())]
        for message in messages[:last]
    ]
    written = json.dumps(question, ensure_ascii=False, separators=(",", ":")).encode()
    line = first_export_line(messages, system_prompt)
    return _defect_as_before(messages), None, None, hashlib.sha256(written).hexdigest(), line_digest(line)


def _defect_as_before(messages: Sequence[Message]) -> str | None:
    turns = messages[1:] if messages and messages[0].role == "system" else messages
    if not any(turn.role == "assistant" for turn in turns):
        return "NO_ASSISTANT_TURN"
    if turns[0].role == "assistant" and len(turns) == 1:
        return "NO_QUESTION"
    if len(turns) % 2 or any(turn.role != ("user", "assistant")[index % 2] for index, turn in enumerate(turns)):
        return "WRONG_ORDER"
    if not all(turn.content.strip() for turn in turns[1::2]):
        return "EMPTY_ANSWER"
    if not all(turn.content.strip() for turn in turns[::2]):
        return "EMPTY_QUESTION"
    return None
