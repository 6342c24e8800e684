"""MLflow's view of Unity Catalog's models, below /api/2.0/mlflow/unity-catalog/."""

import re
from collections.abc import Iterable
from typing import Any

from tests.emulator.errors import invalid, text, whole
from tests.emulator.registry import Model, Registry, Version
from tests.emulator.routing import Answer, Call, Routes

BASE = "/api/2.0/mlflow/unity-catalog"
NAMED = re.compile(r"\s*name\s*=\s*(?:'([^']+)'|\"([^\"]+)\")\s*")


def _registry(call: Call) -> Registry:
    return call.world.registry


def _tags(given: Iterable[dict[str, Any]] | None) -> dict[str, str]:
    return {text(tag, "key"): str(tag.get("value", "")) for tag in given or ()}


def _listed(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def _model(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "creation_timestamp": model.created,
        "last_updated_timestamp": model.updated,
        "user_id": model.owner,
        "description": model.comment,
        "tags": _listed(model.tags),
        "aliases": [{"alias": alias, "version": str(version)} for alias, version in sorted(model.aliases.items())],
    }


def _version(call: Call, model: Model, version: Version) -> dict[str, Any]:
    run = call.world.tracking.runs.get(version.run_id)
    return {
        "name": model.name,
        "version": str(version.number),
        "creation_timestamp": version.created,
        "last_updated_timestamp": version.updated,
        "user_id": version.by,
        "description": version.comment,
        "source": version.source,
        "run_id": version.run_id,
        "run_experiment_id": "" if run is None else run.experiment,
        "status": version.status,
        "storage_location": f"s3://models/{model.id}/versions/{version.number}",
        "tags": _listed(version.tags),
        "aliases": [{"alias": alias, "version": str(version.number)} for alias in model.aliases_of(version.number)],
    }


def _create_model(call: Call) -> Answer:
    given = call.json()
    name, comment = text(given, "name"), str(given.get("description") or "")
    return {"registered_model": _model(_registry(call).create(name, call.caller, comment, _tags(given.get("tags"))))}


def _get_model(call: Call) -> Answer:
    return {"registered_model": _model(_registry(call).get(text(call.query, "name")))}


def _update_model(call: Call) -> Answer:
    given = call.json()
    model = _registry(call).get(text(given, "name"))
    model.comment = str(given.get("description") or model.comment)
    return {"registered_model": _model(model)}


def _delete_model(call: Call) -> Answer:
    _registry(call).delete(text(dict(call.query) | call.json(), "name"), force=True)
    return {}


def _search_models(call: Call) -> Answer:
    return {"registered_models": [_model(model) for _, model in sorted(_registry(call).models.items())]}


def _tag_model(call: Call) -> Answer:
    given = call.json()
    _registry(call).get(text(given, "name")).tags[text(given, "key")] = str(given.get("value", ""))
    return {}


def _set_alias(call: Call) -> Answer:
    given = call.json()
    _registry(call).set_alias(text(given, "name"), text(given, "alias"), whole(given, "version"))
    return {}


def _get_alias(call: Call) -> Answer:
    name = text(call.query, "name")
    version = _registry(call).aliased(name, text(call.query, "alias"))
    return {"model_version": _version(call, _registry(call).get(name), version)}


def _delete_alias(call: Call) -> Answer:
    given = dict(call.query) | call.json()
    _registry(call).delete_alias(text(given, "name"), text(given, "alias"))
    return {}


def _create_version(call: Call) -> Answer:
    given = call.json()
    name, source = text(given, "name"), text(given, "source")
    version = _registry(call).create_version(
        name, source, str(given.get("run_id") or ""), call.caller, str(given.get("description") or "")
    )
    version.tags = _tags(given.get("tags"))
    return {"model_version": _version(call, _registry(call).get(name), version)}


def _asked_version(call: Call) -> tuple[Model, Version]:
    given = dict(call.query) | call.json()
    name = text(given, "name")
    return _registry(call).get(name), _registry(call).version(name, whole(given, "version"))


def _get_version(call: Call) -> Answer:
    return {"model_version": _version(call, *_asked_version(call))}


def _update_version(call: Call) -> Answer:
    model, version = _asked_version(call)
    version.comment = str(call.json().get("description") or "")
    return {"model_version": _version(call, model, version)}


def _delete_version(call: Call) -> Answer:
    model, version = _asked_version(call)
    _registry(call).delete_version(model.name, version.number)
    return {}


def _tag_version(call: Call) -> Answer:
    _, version = _asked_version(call)
    given = call.json()
    version.tags[text(given, "key")] = str(given.get("value", ""))
    return {}


def _search_versions(call: Call) -> Answer:
    """By the model's name: Unity Catalog supports no other filter."""
    found = NAMED.fullmatch(call.query.get("filter", ""))
    if found is None:
        raise invalid("Unity Catalog supports only filters of the form \"name = 'catalog.schema.model'\".")
    model = _registry(call).models.get(found[1] or found[2])
    versions = [] if model is None else [_version(call, model, one) for one in model.versions.values()]
    return {"model_versions": versions}


def _finalize(call: Call) -> Answer:
    """The files are there: the version is ready."""
    model, version = _asked_version(call)
    _registry(call).settle(version, "READY")
    return {"model_version": _version(call, model, version)}


def _download_uri(call: Call) -> Answer:
    _, version = _asked_version(call)
    return {"artifact_uri": version.source}


def _uses_files(_: Call) -> Answer:
    return {"is_databricks_sdk_models_artifact_repository_enabled": True}


MODELS, VERSIONS = f"{BASE}/registered-models", f"{BASE}/model-versions"
ROUTES: Routes = (
    ("POST", f"{MODELS}/create", _create_model),
    ("GET", f"{MODELS}/get", _get_model),
    ("PATCH", f"{MODELS}/update", _update_model),
    ("DELETE", f"{MODELS}/delete", _delete_model),
    ("GET", f"{MODELS}/search", _search_models),
    ("POST", f"{MODELS}/set-tag", _tag_model),
    ("POST", f"{MODELS}/alias", _set_alias),
    ("GET", f"{MODELS}/alias", _get_alias),
    ("DELETE", f"{MODELS}/alias", _delete_alias),
    ("POST", f"{VERSIONS}/create", _create_version),
    ("GET", f"{VERSIONS}/get", _get_version),
    ("PATCH", f"{VERSIONS}/update", _update_version),
    ("DELETE", f"{VERSIONS}/delete", _delete_version),
    ("POST", f"{VERSIONS}/set-tag", _tag_version),
    ("GET", f"{VERSIONS}/search", _search_versions),
    ("POST", f"{VERSIONS}/finalize", _finalize),
    ("GET", f"{VERSIONS}/get-download-uri", _download_uri),
    ("GET", f"{MODELS}:is-databricks-sdk-models-artifact-repository-enabled", _uses_files),
)
