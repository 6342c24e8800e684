from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.domain.metrics import MetricPoint
from server.domain.status import TERMINAL
from server.registry import description
from tests.server.registry.conftest import NOW, facts

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@pytest.fixture(scope="module")
def validation() -> ModuleType:
    from mlflow.utils import validation  # noqa: PLC0415  (seconds, and only once it has been silenced)

    return validation


@given(key=TEXT)
@example(key="")
@example(key=".")
@example(key="../../etc")
@example(key="/root")
@example(key="a/./b/")
@example(key="train/loss")
@example(key="line\n")
def test_every_key_is_one_that_mlflow_takes(validation: ModuleType, key: str) -> None:
    (metric,) = description.metrics([MetricPoint(1, NOW, {key: 1.0})])
    validation._validate_metric(*metric)
    validation._validate_param_name(metric.key)
    assert len(metric.key) <= validation.MAX_ENTITY_KEY_LENGTH
    assert metric.key in description.parameters(facts(parameters={key: 1}))


def test_a_key_that_mlflow_takes_stays() -> None:
    assert description.parameters(facts(parameters={"train/loss rate:1.0-b_c": 1}))["train/loss rate:1.0-b_c"] == "1"


def test_the_order_of_a_configuration_makes_no_difference() -> None:
    one = description.parameters(facts(parameters={"a": {"x": 1, "y": 2}, "b!": 1, "b?": 2}))
    other = description.parameters(facts(parameters={"b?": 2, "b!": 1, "a": {"y": 2, "x": 1}}))
    assert one == other


def test_a_fact_wins_over_a_key_of_the_configuration() -> None:
    assert description.parameters(facts(parameters={"train_pairs": "many"}))["train_pairs"] == "400"


def test_a_digest_that_is_not_known_is_not_a_tag() -> None:
    assert "tunegraph.dataset_digest" not in description.tags(facts(dataset_digest=None))


def test_every_terminal_status_ends_a_run() -> None:
    assert set(description.RUN_STATUS) == TERMINAL


def test_a_folders_digest_follows_names_and_bytes(tmp_path: Path) -> None:
    def digest(name: str, **files: str) -> str:
        folder = tmp_path / name
        for file, content in files.items():
            (folder / "deep").mkdir(parents=True, exist_ok=True)
            (folder / "deep" / file).write_text(content)
        return description.folder_digest(folder)

    assert digest("one", a="1", b="2") == digest("two", b="2", a="1")
    assert len({digest("one"), digest("three", a="1", b="3"), digest("four", a="1", c="2")}) == 3


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError("first\nsecond"), "first"),
        (ValueError(), "ValueError"),
        (OSError("at https://ada:s3cret@host/x?y=a@b"), "at https://host/x?y=a@b"),
        (OSError("x" * 1000), "x" * 300),
    ],
)
def test_the_reason_is_one_short_line_without_credentials(error: Exception, said: str) -> None:
    assert description.reason(error) == said


def test_the_reason_is_without_what_is_to_be_hidden() -> None:
    assert description.reason(OSError("a b c b"), {"b"}) == "a *** c ***"
