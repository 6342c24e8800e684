"""What can be computed on: accelerators and clusters."""

from typing import Any

from tests.emulator.errors import invalid, text
from tests.emulator.routing import Answer, Call, Routes
from tests.emulator.training_runs import GPUS_OF_A_NODE


def _options(_: Call) -> Answer:
    return {"compute_options": [{"hardware_accelerator": name} for name in GPUS_OF_A_NODE]}


def _cluster(cluster: str, runtime: str) -> dict[str, Any]:
    return {
        "cluster_id": cluster,
        "cluster_name": cluster,
        "spark_version": runtime,
        "data_security_mode": "SINGLE_USER",
        "state": "RUNNING",
    }


def _list(call: Call) -> Answer:
    return {"clusters": [_cluster(*one) for one in sorted(call.world.options.clusters.items())]}


def _get(call: Call) -> Answer:
    cluster = text(call.query, "cluster_id")
    if cluster not in call.world.options.clusters:
        raise invalid(f"Cluster {cluster} does not exist")
    return _cluster(cluster, call.world.options.clusters[cluster])


ROUTES: Routes = (
    ("GET", "/api/2.0/ai-compute-manager/compute-options", _options),
    ("GET", "/api/2.1/clusters/list", _list),
    ("GET", "/api/2.1/clusters/get", _get),
)
