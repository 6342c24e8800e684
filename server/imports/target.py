"""Where a bulk import goes: a sheet, a template and a training sheet, found by name or made."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain import ids
from server.domain.errors import Conflict
from server.services import inputs
from server.storage import curation

DEFAULT_USER_PROMPT = "{question}"  # of a template that adds nothing to what is asked


@dataclass(frozen=True, slots=True)
class Target:
    """The names; a prompt that is None is not asked for, and a blank system prompt asks for none."""

    sheet: str
    template: str
    training_sheet: str
    system_prompt: str | None
    user_prompt: str | None

    def check(self) -> None:
        """Raise `InvalidInput` for names and prompts that can't be stored."""
        inputs.filled(self.sheet, ("sheet",))
        inputs.filled(self.template, ("template",))
        inputs.filled(self.training_sheet, ("training_sheet",))
        inputs.prompt(self.system_prompt, ("system_prompt",))
        inputs.optional(self.user_prompt, ("user_prompt",), inputs.MAX_PROMPT_CHARACTERS)

    def prompts(self, latest: curation.Template | None) -> tuple[str | None, str]:
        """The prompts to use: those asked for, and for the rest those of a version that there is."""
        kept = (None, DEFAULT_USER_PROMPT) if latest is None else (latest.system_prompt, latest.user_prompt)
        system_prompt = kept[0] if self.system_prompt is None else inputs.prompt(self.system_prompt, ())
        return system_prompt, kept[1] if self.user_prompt is None else self.user_prompt


async def resolve(connection: AsyncConnection, target: Target, file_name: str) -> curation.TrainingSheet:
    """The training sheet to import into; imports into the same one come one after the other.

    Raises `Conflict` when it exists with another sheet, template or prompts.
    """
    await curation.lock_name(connection, "training sheet", target.training_sheet)
    existing = await curation.find_training_sheet(connection, target.training_sheet)
    if existing is not None:
        _compare(existing, target)
        return existing
    values = {
        "id": ids.new(ids.Kind.TRAINING_SHEET),
        "name": target.training_sheet,
        "sheet_id": await _sheet(connection, target.sheet, file_name),
        "template_id": await _template(connection, target),
    }
    written = await curation.insert_training_sheet(connection, values)
    made = await curation.find_training_sheet(connection, target.training_sheet)
    if made is None or not written:
        raise Conflict(f"the training sheet {target.training_sheet!r} was made by someone else meanwhile; try again")
    return made


def _compare(existing: curation.TrainingSheet, target: Target) -> None:
    if existing.sheet_name != target.sheet:
        difference = f"belongs to the sheet {existing.sheet_name!r}, not {target.sheet!r}"
    elif existing.template_name != target.template:
        difference = f"uses the template {existing.template_name!r}, not {target.template!r}"
    elif target.prompts(existing.template) != (existing.template.system_prompt, existing.template.user_prompt):
        version = existing.template.version
        difference = f"uses version {version} of the template {target.template!r}, whose prompts are not those given"
    else:
        return
    raise Conflict(f"the training sheet {target.training_sheet!r} {difference}; import into another training sheet")


async def _sheet(connection: AsyncConnection, name: str, file_name: str) -> str:
    if sheet_id := await curation.find_sheet(connection, name):
        return sheet_id
    values = {"id": ids.new(ids.Kind.SHEET), "name": name, "source": "EXTERNAL", "source_location": file_name}
    await curation.insert_sheet(connection, values)
    sheet_id = await curation.find_sheet(connection, name)  # ours, or the one that was quicker
    if sheet_id is None:
        raise Conflict(f"the sheet {name!r} was removed by someone else meanwhile; try again")
    return sheet_id


async def _template(connection: AsyncConnection, target: Target) -> str:
    latest = await curation.latest_template(connection, target.template)
    if latest is not None and target.prompts(latest) == (latest.system_prompt, latest.user_prompt):
        return latest.id
    await curation.lock_name(connection, "template", target.template)
    latest = await curation.latest_template(connection, target.template)
    system_prompt, user_prompt = target.prompts(latest)
    if latest is not None and (system_prompt, user_prompt) == (latest.system_prompt, latest.user_prompt):
        return latest.id
    template_id = ids.new(ids.Kind.TEMPLATE)
    values = {"id": template_id, "system_prompt": system_prompt, "user_prompt": user_prompt}
    await curation.insert_template(connection, target.template, values)
    return template_id
