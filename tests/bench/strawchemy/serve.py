"""strawchemy over the tables of Tunegraph, as its documentation sets it up: `serve.py DATABASE_URL PORT`.

It runs in an environment of its own. Each root field is one statement, whose rows Strawberry and graphql-core resolve.
The models hold what the questions ask for.
"""

import sys
from datetime import datetime
from typing import Any

import strawberry
import uvicorn
from sqlalchemy import JSON, BigInteger, DateTime, ForeignKey
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from strawberry.asgi import GraphQL
from strawberry.schema.config import StrawberryConfig
from strawchemy import Strawchemy, StrawchemyAsyncRepository, StrawchemyConfig

CONNECTIONS = 10  # as many as Tunegraph keeps for reads


class Base(DeclarativeBase):
    """Times and JSON as Postgres has them."""

    type_annotation_map = {datetime: DateTime(timezone=True), dict: JSON}  # noqa: RUF012  (SQLAlchemy's form)


class SheetRow(Base):
    __tablename__ = "sheets"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    source: Mapped[str]
    source_location: Mapped[str | None]


class TemplateRow(Base):
    __tablename__ = "templates"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    version: Mapped[int]
    system_prompt: Mapped[str | None]
    user_prompt: Mapped[str]


class TrainingSheetRow(Base):
    __tablename__ = "training_sheets"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    created_at: Mapped[datetime]
    sheet_id: Mapped[str] = mapped_column(ForeignKey("sheets.id"))
    template_id: Mapped[str] = mapped_column(ForeignKey("templates.id"))
    sheet: Mapped[SheetRow] = relationship()
    template: Mapped[TemplateRow] = relationship()


class QaPairRow(Base):
    __tablename__ = "qa_pairs"
    id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    item_ref: Mapped[str | None]


class LineageRow(Base):
    __tablename__ = "training_job_lineage"
    job_id: Mapped[str] = mapped_column(ForeignKey("training_jobs.id"), primary_key=True)
    training_sheet_id: Mapped[str]
    training_sheet_name: Mapped[str]
    sheet_id: Mapped[str]
    sheet_name: Mapped[str]
    template_id: Mapped[str]
    template_name: Mapped[str]
    template_version: Mapped[int]
    model_name: Mapped[str]
    model_version: Mapped[str | None]


class PairRow(Base):
    __tablename__ = "training_job_pairs"
    job_id: Mapped[str] = mapped_column(ForeignKey("training_jobs.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    split: Mapped[str]
    digest: Mapped[str]
    qa_pair_id: Mapped[str] = mapped_column(ForeignKey("qa_pairs.id"))
    qa_pair: Mapped[QaPairRow] = relationship()


class MetricsRow(Base):
    __tablename__ = "training_job_metrics"
    job_id: Mapped[str] = mapped_column(ForeignKey("training_jobs.id"), primary_key=True)
    train_loss: Mapped[float | None]
    val_loss: Mapped[float | None]
    train_accuracy: Mapped[float | None]
    val_accuracy: Mapped[float | None]
    learning_rate: Mapped[float | None]
    epochs_completed: Mapped[int | None]
    training_duration_seconds: Mapped[float | None]
    tokens_processed: Mapped[int | None] = mapped_column(BigInteger)
    cost_dbu: Mapped[float | None]
    custom_metrics: Mapped[dict | None]
    recorded_at: Mapped[datetime]


class MetricPointRow(Base):
    __tablename__ = "training_job_metric_points"
    job_id: Mapped[str] = mapped_column(ForeignKey("training_jobs.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    value: Mapped[float | None]
    recorded_at: Mapped[datetime]


class EventRow(Base):
    __tablename__ = "training_job_events"
    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("training_jobs.id"))
    sequence: Mapped[int]
    event_type: Mapped[str]
    old_status: Mapped[str | None]
    new_status: Mapped[str | None]
    message: Mapped[str]
    event_data: Mapped[dict | None]
    actor: Mapped[str | None]
    created_at: Mapped[datetime]


class JobRow(Base):
    __tablename__ = "training_jobs"
    id: Mapped[str] = mapped_column(primary_key=True)
    training_sheet_id: Mapped[str] = mapped_column(ForeignKey("training_sheets.id"))
    model_name: Mapped[str]
    base_model: Mapped[str]
    trainer: Mapped[str]
    status: Mapped[str]
    training_config: Mapped[dict]
    train_val_split: Mapped[float]
    split_seed: Mapped[int]
    progress_percent: Mapped[int]
    current_epoch: Mapped[int | None]
    total_epochs: Mapped[int | None]
    total_pairs: Mapped[int]
    train_pairs: Mapped[int]
    val_pairs: Mapped[int]
    trainer_job_id: Mapped[str | None]
    mlflow_run_id: Mapped[str | None]
    register_to_uc: Mapped[bool]
    uc_model_name: Mapped[str | None]
    uc_model_version: Mapped[str | None]
    dataset_digest: Mapped[str | None]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    updated_at: Mapped[datetime]
    excluded_not_labeled: Mapped[int]
    excluded_use_prohibited: Mapped[int]
    excluded_use_not_allowed: Mapped[int]
    excluded_malformed: Mapped[int]
    training_sheet: Mapped[TrainingSheetRow] = relationship()
    lineage: Mapped[LineageRow | None] = relationship(uselist=False)
    metrics: Mapped[MetricsRow | None] = relationship(uselist=False)
    metric_points: Mapped[list[MetricPointRow]] = relationship()
    pairs: Mapped[list[PairRow]] = relationship()
    events: Mapped[list[EventRow]] = relationship()


mapper = Strawchemy(
    StrawchemyConfig(
        "postgresql",
        session_getter=lambda info: info.context["session"],
        repository_type=StrawchemyAsyncRepository,
        pagination="all",
        order_by="all",
    )
)


@mapper.type(SheetRow, include="all")
class Sheet: ...


@mapper.type(TemplateRow, include="all")
class Template: ...


@mapper.type(TrainingSheetRow, include="all")
class TrainingSheet: ...


@mapper.type(QaPairRow, include="all")
class QaPair: ...


@mapper.type(LineageRow, include="all")
class Lineage: ...


@mapper.type(PairRow, include="all")
class Pair: ...


@mapper.type(MetricsRow, include="all")
class Metrics: ...


@mapper.type(MetricPointRow, include="all")
class MetricPoint: ...


@mapper.type(EventRow, include="all")
class Event: ...


@mapper.type(JobRow, include="all")
class Job: ...


@strawberry.type
class Query:
    training_job: Job | None = mapper.field()
    training_jobs: list[Job] = mapper.field()


def json_as_it_is() -> object:
    return strawberry.scalar(name="JSON", serialize=lambda value: value, parse_value=lambda value: value)


class Endpoint(GraphQL[Any, None]):
    """Strawberry's own, with a session for each request."""

    async def get_context(self, request: Request, response: Response) -> dict[str, object]:
        return {"request": request, "response": response, "session": request.state.session}


def application(url: str) -> ASGIApp:
    engine = create_async_engine(
        url.replace("postgresql://", "postgresql+asyncpg://"), pool_size=CONNECTIONS, max_overflow=0
    )
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    schema = strawberry.Schema(Query, config=StrawberryConfig(scalar_map={dict: json_as_it_is()}))
    graphql = Endpoint(schema, graphql_ide=None)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with sessions() as session:
            scope["state"] = {"session": session}
            await graphql(scope, receive, send)

    return app


def main(url: str, port: int) -> None:
    uvicorn.run(
        application(url),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
