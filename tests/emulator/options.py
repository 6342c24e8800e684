"""How an emulated workspace is set up."""

from collections.abc import Mapping
from dataclasses import dataclass, field

CONTEXT = 131_072
MODELS = (
    ("meta-llama/Llama-3.2-1B-Instruct", "Llama 3.2 1B Instruct", CONTEXT),
    ("meta-llama/Llama-3.2-3B-Instruct", "Llama 3.2 3B Instruct", CONTEXT),
    ("meta-llama/Llama-3.3-70B-Instruct", "Llama 3.3 70B Instruct", CONTEXT),
    ("meta-llama/Meta-Llama-3.1-8B-Instruct", "Meta Llama 3.1 8B Instruct", CONTEXT),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a workspace is set up. A training takes `pace` seconds of the clock, which is real unless `held_at` is given.

    `page_max` is the most finetunes of one page; Databricks' own maximum is not known. `tables` and `datasets` say how
    many rows the Delta tables and the Hugging Face splits have that trainings may read.
    """

    token: str = "dapi-emulator"  # noqa: S105  (opens nothing but an emulator)
    client_id: str = "client"
    client_secret: str = "secret"  # noqa: S105  (the same)
    user: str = "me@example.com"
    pace: float = 60.0
    held_at: float | None = None
    seed: str = "tunegraph"
    page_max: int = 100
    token_lifetime: float = 3600.0
    models: tuple[tuple[str, str, int], ...] = MODELS
    schemas: frozenset[str] = frozenset({"main.ft"})
    volumes: frozenset[str] = frozenset({"main.ft.data"})
    tables: Mapping[str, int] = field(default_factory=dict)
    datasets: Mapping[str, int] = field(default_factory=dict)
    clusters: Mapping[str, str] = field(default_factory=dict)
