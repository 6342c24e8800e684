"""Unity Catalog's own endpoints: registered models, and what else of a catalog trainings ask for."""

from typing import Any

from tests.emulator.errors import ApiError, text, whole
from tests.emulator.registry import Model, Registry, Version
from tests.emulator.routing import Answer, Call, Routes

BASE = "/api/2.1/unity-catalog"
MODELS = f"{BASE}/models"
PAGE = 100
METASTORE = "metastore-1"


def _registry(call: Call) -> Registry:
    return call.world.registry


def _names(name: str) -> dict[str, str]:
    catalog, schema, model = name.split(".")
    return {"catalog_name": catalog, "schema_name": schema, "name": model, "full_name": name}


def _aliases(model: Model, number: int | None = None) -> list[dict[str, Any]]:
    named = {name: part for name, part in _names(model.name).items() if name in ("catalog_name", "schema_name")}
    return [
        named | {"model_name": model.name.split(".")[2], "alias_name": alias, "version_num": version}
        for alias, version in sorted(model.aliases.items())
        if number in (None, version)
    ]


def _model(model: Model) -> dict[str, Any]:
    return _names(model.name) | {
        "id": model.id,
        "owner": model.owner,
        "comment": model.comment,
        "metastore_id": METASTORE,
        "storage_location": f"s3://models/{model.id}",
        "created_at": model.created,
        "created_by": model.owner,
        "updated_at": model.updated,
        "updated_by": model.owner,
    }


def _version(model: Model, version: Version) -> dict[str, Any]:
    names = _names(model.name)
    return {
        "catalog_name": names["catalog_name"],
        "schema_name": names["schema_name"],
        "model_name": names["name"],
        "version": version.number,
        "id": f"{model.id}-{version.number}",
        "status": version.status,
        "source": version.source,
        "run_id": version.run_id,
        "comment": version.comment,
        "metastore_id": METASTORE,
        "storage_location": f"s3://models/{model.id}/versions/{version.number}",
        "created_at": version.created,
        "created_by": version.by,
        "updated_at": version.updated,
        "updated_by": version.by,
    }


def _page(call: Call, items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    start, size = whole(call.query, "page_token", 0), whole(call.query, "max_results", PAGE) or PAGE
    more = {"next_page_token": str(start + size)} if start + size < len(items) else {}
    return {name: items[start : start + size], **more}


def _create(call: Call) -> Answer:
    given = call.json()
    name = ".".join(text(given, part) for part in ("catalog_name", "schema_name", "name"))
    return _model(_registry(call).create(name, call.caller, str(given.get("comment", ""))))


def _list(call: Call) -> Answer:
    prefix = ".".join(call.query[part] for part in ("catalog_name", "schema_name") if part in call.query)
    found = [
        model
        for name, model in sorted(_registry(call).models.items())
        if name.startswith(f"{prefix}." if prefix else "")
    ]
    return _page(call, [_model(model) for model in found], "registered_models")


def _get(call: Call) -> Answer:
    model = _registry(call).get(call.parts["name"])
    return _model(model) | ({"aliases": _aliases(model)} if call.query.get("include_aliases") == "true" else {})


def _update(call: Call) -> Answer:
    model, given = _registry(call).get(call.parts["name"]), call.json()
    model.comment = str(given.get("comment", model.comment))
    model.owner = str(given.get("owner", model.owner))
    return _model(model)


def _delete(call: Call) -> Answer:
    _registry(call).delete(call.parts["name"], force=call.query.get("force") == "true")
    return {}


def _create_version(call: Call) -> Answer:
    given = call.json()
    name = ".".join(text(given, part) for part in ("catalog_name", "schema_name", "model_name"))
    registry = _registry(call)
    made = registry.create_version(
        name, text(given, "source"), str(given.get("run_id", "")), call.caller, str(given.get("comment", ""))
    )
    return _version(registry.get(name), made)


def _finalize_version(call: Call) -> Answer:
    registry, (model, version) = _registry(call), _asked_version(call)
    registry.settle(version, "READY")
    return _version(model, version)


def _asked_version(call: Call) -> tuple[Model, Version]:
    name = call.parts["name"]
    return _registry(call).get(name), _registry(call).version(name, whole(call.parts, "version"))


def _list_versions(call: Call) -> Answer:
    """The newest first, as Databricks' own pages show them."""
    model = _registry(call).get(call.parts["name"])
    newest_first = sorted(model.versions.values(), key=lambda version: -version.number)
    return _page(call, [_version(model, version) for version in newest_first], "model_versions")


def _get_version(call: Call) -> Answer:
    model, version = _asked_version(call)
    aliases = {"aliases": _aliases(model, version.number)} if call.query.get("include_aliases") == "true" else {}
    return _version(model, version) | aliases


def _update_version(call: Call) -> Answer:
    model, version = _asked_version(call)
    version.comment = str(call.json().get("comment", version.comment))
    return _version(model, version)


def _delete_version(call: Call) -> Answer:
    _registry(call).delete_version(call.parts["name"], whole(call.parts, "version"))
    return {}


def _set_alias(call: Call) -> Answer:
    name, alias, number = call.parts["name"], call.parts["alias"], whole(call.json(), "version_num")
    _registry(call).set_alias(name, alias, number)
    return next(one for one in _aliases(_registry(call).get(name)) if one["alias_name"] == alias)


def _get_alias(call: Call) -> Answer:
    name = call.parts["name"]
    return _version(_registry(call).get(name), _registry(call).aliased(name, call.parts["alias"]))


def _delete_alias(call: Call) -> Answer:
    _registry(call).delete_alias(call.parts["name"], call.parts["alias"])
    return {}


def _table(call: Call) -> Answer:
    name = call.parts["name"]
    if name not in call.world.options.tables:
        raise ApiError(404, "TABLE_DOES_NOT_EXIST", f"Table '{name}' does not exist.")
    return _names(name) | {"table_type": "MANAGED", "data_source_format": "DELTA", "columns": []}


def _schema(call: Call) -> Answer:
    name = call.parts["name"]
    _registry(call).check_schema(name)
    catalog, _, schema = name.partition(".")
    return {"catalog_name": catalog, "name": schema, "full_name": name, "metastore_id": METASTORE}


def _volume(call: Call) -> Answer:
    name = call.parts["name"]
    if not call.world.disk.has_volume(name):
        raise ApiError(404, "VOLUME_DOES_NOT_EXIST", f"Volume '{name}' does not exist.")
    return _names(name) | {"volume_type": "MANAGED", "metastore_id": METASTORE}


ONE, VERSIONS = f"{MODELS}/{{name}}", f"{MODELS}/{{name}}/versions"
VERSION, ALIAS = f"{VERSIONS}/{{version}}", f"{MODELS}/{{name}}/aliases/{{alias}}"
ROUTES: Routes = (
    ("POST", MODELS, _create),
    ("GET", MODELS, _list),
    ("POST", f"{MODELS}/versions", _create_version),
    ("GET", ONE, _get),
    ("PATCH", ONE, _update),
    ("DELETE", ONE, _delete),
    ("GET", VERSIONS, _list_versions),
    ("GET", VERSION, _get_version),
    ("PATCH", VERSION, _update_version),
    ("DELETE", VERSION, _delete_version),
    ("PATCH", f"{VERSION}/finalize", _finalize_version),
    ("PUT", ALIAS, _set_alias),
    ("GET", ALIAS, _get_alias),
    ("DELETE", ALIAS, _delete_alias),
    ("GET", f"{BASE}/tables/{{name}}", _table),
    ("GET", f"{BASE}/schemas/{{name}}", _schema),
    ("GET", f"{BASE}/volumes/{{name}}", _volume),
)
