"""What the tables are defined with: constraints and columns that several of them have."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import ARRAY, JSON, CheckConstraint, DateTime, MetaData, Table, Text, func, text
from sqlmodel import Field, SQLModel


class Row(SQLModel):
    """What all tables share: constraint names that migrations can rely on."""

    metadata: ClassVar[MetaData] = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def quoted(values: Iterable[str]) -> str:
    """Values of ours as an SQL list, sorted so that constraints and partial indexes always read the same."""
    return ", ".join(f"'{value}'" for value in sorted(values))


def one_of(column: str, values: Iterable[str]) -> CheckConstraint:
    """A column holds one of these words."""
    return CheckConstraint(f"{column} IN ({quoted(values)})", name=column)


def subset_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    """A column of texts holds nothing but these words, and no null among them."""
    return CheckConstraint(
        f"{column} <@ ARRAY[{quoted(values)}]::text[] AND array_position({column}, NULL) IS NULL", name=column
    )


def finite(column: str) -> CheckConstraint:
    """A column holds neither NaN nor an infinity."""
    return CheckConstraint(f"{column} > '-Infinity' AND {column} < 'Infinity'", name=f"{column}_finite")


def created_now() -> Any:  # noqa: ANN401  (SQLModel's Field takes the whole type away)
    """The time of the transaction that writes the row."""
    return Field(sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": func.now()})


def moment(**kwargs: Any) -> Any:  # noqa: ANN401
    """A time that may not have come yet."""
    return Field(default=None, sa_type=DateTime(timezone=True), **kwargs)


def uses() -> Any:  # noqa: ANN401
    """A list of data uses."""
    return Field(sa_type=ARRAY(Text))


def json_value(*, optional: bool = False) -> Any:  # noqa: ANN401
    """JSON as it was written: the order of its keys and the form of its numbers stay."""
    return Field(default=None, sa_type=JSON, nullable=optional)


def number(default: str) -> Any:  # noqa: ANN401
    """A number that starts from a default of the database."""
    return Field(sa_column_kwargs={"server_default": text(default)})


def table(row: type[Row]) -> Table:
    """The table of a class, for statements."""
    return Row.metadata.tables[str(row.__tablename__)]
