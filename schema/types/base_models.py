"""The models that can be trained: a list that trainers give, not the database."""

from typing import Annotated

import strawberry

from schema.reads.context import Info
from schema.types.enums import TrainerKind


@strawberry.type(description="A model that a training can start from.")
class BaseModel:
    """A base model."""

    name: str = strawberry.field(description="Its name: give it as baseModel.")
    display_name: str = strawberry.field(description="Its name for people.")
    trainer: TrainerKind = strawberry.field(description="Who can train it.")
    max_context_length: int | None = strawberry.field(description="The longest context, in tokens, when it is known.")


async def base_models(
    info: Info,
    trainer: Annotated[
        TrainerKind | None, strawberry.argument(description="Only those of this trainer.")
    ] = strawberry.UNSET,
) -> list[BaseModel]:
    """Ask the trainers; one that can't be reached contributes what it last said."""
    models = await info.context.services.base_models.list(None if trainer is strawberry.UNSET else trainer)
    return [
        BaseModel(
            name=model.name,
            display_name=model.display_name,
            trainer=model.trainer,
            max_context_length=model.max_context_length,
        )
        for model in models
    ]
