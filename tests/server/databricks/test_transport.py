"""How requests leave: what the SDK's services count on, read from the other side."""

import inspect
import io

import pytest
from databricks.sdk.core import ApiClient, Config
from databricks.sdk.service.jobs import RunType

from server.databricks.client import WorkspaceClient
from server.databricks.transport import Limits, Transport
from server.domain.errors import Unavailable
from tests.emulator.served import Emulator
from tests.server.databricks.conftest import TOKEN

FILE = "/Volumes/main/ft/data/file.bin"
PUT = "/api/2.0/fs/files" + FILE


def opened(databricks: Emulator) -> WorkspaceClient:
    config = Config(host=databricks.url, token=TOKEN, auth_type="pat")
    return WorkspaceClient(config, Limits(request_seconds=5, repeat_seconds=20, longest_pause_seconds=5))


def test_the_sdk_still_sends_through_the_method_that_is_replaced() -> None:
    """After an upgrade: look at how the SDK's services send, and bring `Transport.do` up to it."""
    ours, theirs = inspect.signature(Transport.do).parameters, inspect.signature(ApiClient.do).parameters
    assert [(one.name, one.default) for one in ours.values()] == [(one.name, one.default) for one in theirs.values()]


def test_a_stream_is_sent_from_where_it_stood_when_it_is_sent_again(databricks: Emulator) -> None:
    client = opened(databricks)
    databricks.faults.script("429", PUT, retry_after=0)
    stream = io.BytesIO(b"not this but this")
    stream.seek(len(b"not this "))
    client.files.upload(FILE, stream, overwrite=True)
    first, second = databricks.requests.to("PUT", PUT)
    assert (first.fault, second.fault) == ("429", None)
    assert second.query == [("overwrite", "true")]
    contents = client.files.download(FILE).contents
    assert contents is not None
    with contents:
        assert contents.read() == b"but this"


def test_a_form_is_sent_once(databricks: Emulator) -> None:
    databricks.faults.script("429", "/api/2.0/workspace/import", retry_after=0)
    with pytest.raises(Unavailable, match="HTTP 429"):
        opened(databricks).workspace.upload("/Shared/program.py", b"pass")
    assert len(databricks.requests.to("POST", "/api/2.0/workspace/import")) == 1


def test_flags_and_words_of_a_query_are_written_as_databricks_reads_them(databricks: Emulator) -> None:
    list(opened(databricks).jobs.list_runs(expand_tasks=True, completed_only=False, run_type=RunType.SUBMIT_RUN))
    [call] = databricks.requests.to("GET", "/api/2.2/jobs/runs/list")
    assert {("expand_tasks", "true"), ("completed_only", "false"), ("run_type", "SUBMIT_RUN")} <= set(call.query)


def test_nested_values_of_a_query_have_dots_in_their_names(databricks: Emulator) -> None:
    path = "/api/2.0/preview/scim/v2/Me"
    opened(databricks).api_client.do("GET", path, query={"filter_by": {"user_ids": [1, 2], "own": True}})
    [call] = databricks.requests.to("GET", path)
    assert call.query == [("filter_by.user_ids", "1"), ("filter_by.user_ids", "2"), ("filter_by.own", "true")]
