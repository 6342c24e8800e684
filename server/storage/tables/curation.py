"""What people curate: sheets, templates, canonical labels, training sheets and pairs."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import CheckConstraint, Index
from sqlalchemy import UniqueConstraint as Unique
from sqlmodel import Field

from server.domain.defects import Defect
from server.domain.gates import DataUse, PairStatus
from server.storage.tables.definitions import (
    Row,
    created_now,
    json_value,
    moment,
    one_of,
    subset_of,
    table,
    uses,
)

SHEET_SOURCES = ("UC_TABLE", "UC_VOLUME", "EXTERNAL")


class SheetRow(Row, table=True):
    """A set of source data."""

    __tablename__ = "sheets"
    __table_args__ = (Unique("name"), one_of("source", SHEET_SOURCES), Index(None, "created_at", "id"))

    id: str = Field(primary_key=True)
    name: str
    source: str
    source_location: str | None
    created_at: datetime = created_now()


class TemplateRow(Row, table=True):
    """A version of a prompt template; never changed."""

    __tablename__ = "templates"
    __table_args__ = (
        Unique("name", "version"),
        CheckConstraint("version >= 1", name="version"),
        Index(None, "created_at", "id"),
    )

    id: str = Field(primary_key=True)
    name: str
    version: int
    system_prompt: str | None
    user_prompt: str
    created_at: datetime = created_now()


class CanonicalLabelRow(Row, table=True):
    """A version of an expert's answer for an item; never changed."""

    __tablename__ = "canonical_labels"
    __table_args__ = (
        Unique("sheet_id", "item_ref", "label_type", "version"),
        CheckConstraint("version >= 1", name="version"),
        subset_of("allowed_uses", DataUse),
        subset_of("prohibited_uses", DataUse),
        Index(None, "created_at", "id"),
        Index(None, "sheet_id", "created_at", "id"),
    )

    id: str = Field(primary_key=True)
    sheet_id: str = Field(foreign_key="sheets.id")
    item_ref: str
    label_type: str
    label_data: Any = json_value()
    version: int
    allowed_uses: list[str] = uses()
    prohibited_uses: list[str] = uses()
    created_at: datetime = created_now()


class TrainingSheetRow(Row, table=True):
    """A sheet joined with a template; its pairs hang below it."""

    __tablename__ = "training_sheets"
    __table_args__ = (Unique("name"), Index(None, "created_at", "id"))

    id: str = Field(primary_key=True)
    name: str
    sheet_id: str = Field(foreign_key="sheets.id")
    template_id: str = Field(foreign_key="templates.id")
    created_at: datetime = created_now()


class QaPairRow(Row, table=True):
    """A question and its answer. Messages never change, so what `server.domain.derived` makes of them stands with them.

    `defect` says why the messages can't be trained on, `defect_turn` which of them it is about.
    """

    __tablename__ = "qa_pairs"
    __table_args__ = (
        one_of("status", PairStatus),
        subset_of("allowed_uses", DataUse),
        subset_of("prohibited_uses", DataUse),
        CheckConstraint("(reviewed_by IS NULL) = (reviewed_at IS NULL)", name="reviewed"),
        one_of("defect", Defect),
        CheckConstraint("defect_turn IS NULL OR defect_turn >= 1 AND defect IS NOT NULL", name="defect_turn"),
        Index(None, "training_sheet_id", "created_at", "id"),
        Index(None, "training_sheet_id", "status", "created_at", "id"),
        Index(None, "canonical_label_id"),
    )

    id: str = Field(primary_key=True)
    training_sheet_id: str = Field(foreign_key="training_sheets.id")
    canonical_label_id: str | None = Field(default=None, foreign_key="canonical_labels.id")
    item_ref: str | None
    messages: Any = json_value()
    status: str
    allowed_uses: list[str] = uses()
    prohibited_uses: list[str] = uses()
    defect: str | None
    defect_turn: int | None
    control_token: str | None
    question_digest: str
    line_digest: str
    reviewed_by: str | None
    reviewed_at: datetime | None = moment()
    created_at: datetime = created_now()


sheets: Final = table(SheetRow)
templates: Final = table(TemplateRow)
canonical_labels: Final = table(CanonicalLabelRow)
training_sheets: Final = table(TrainingSheetRow)
qa_pairs: Final = table(QaPairRow)
