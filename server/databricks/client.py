"""The services of the SDK that this program calls, over a transport of our own.

Importing this imports `databricks.sdk`, which takes seconds: `workspace` does so on first use, in a thread.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from databricks.sdk.core import Config
from databricks.sdk.mixins.workspace import WorkspaceExt
from databricks.sdk.service.catalog import ModelVersionsAPI, RegisteredModelsAPI
from databricks.sdk.service.files import FilesAPI
from databricks.sdk.service.iam import CurrentUserAPI
from databricks.sdk.service.jobs import JobsAPI
from databricks.sdk.service.ml import ExperimentsAPI

from server.databricks.responses import redacted
from server.databricks.transport import Limits, Transport
from server.domain.errors import Unavailable

PRODUCT: Final = "tunegraph"


class WorkspaceClient:
    """What the SDK's class of this name offers, as far as it is used here. For threads.

    `secrets` are values of the configuration that nobody may be told. Files go through the workspace itself (the SDK's
    `FilesExt` prefers signed addresses of a storage account, which are often out of reach).
    """

    def __init__(self, config: Config, limits: Limits) -> None:
        self.config = config
        self.secrets = _secrets(config)
        self.api_client = Transport(config, limits, self.secrets)
        self.current_user = CurrentUserAPI(self.api_client)
        self.experiments = ExperimentsAPI(self.api_client)
        self.files = FilesAPI(self.api_client)
        self.jobs = JobsAPI(self.api_client)
        self.model_versions = ModelVersionsAPI(self.api_client)
        self.registered_models = RegisteredModelsAPI(self.api_client)
        self.workspace = WorkspaceExt(self.api_client)


def connect(arguments: Mapping[str, Any], limits: Limits) -> WorkspaceClient:
    """A client for `arguments` of the SDK's `Config`, the rest of which comes from where the SDK looks for it.

    Raises `Unavailable` when there are no credentials that could be used.
    """
    try:
        config = Config(
            product=PRODUCT,
            # of the requests with which the SDK finds out how to authenticate
            http_timeout_seconds=limits.request_seconds,
            retry_timeout_seconds=int(limits.repeat_seconds),
            **arguments,
        )
    except ValueError as error:
        reason = re.split(r"\. (?:Config|Env): ", str(error))[0]
        text = redacted(reason, frozenset())
        raise Unavailable(f"Databricks: the SDK could not set up its authentication: {text}") from None
    return WorkspaceClient(config, limits)


def _secrets(config: Config) -> frozenset[str]:
    values = (getattr(config, attribute.name) for attribute in Config.attributes() if attribute.sensitive)
    return frozenset(str(value) for value in values if value)
