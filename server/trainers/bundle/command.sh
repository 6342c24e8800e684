#!/usr/bin/env bash
# What runs on each node. The program is in the folder of this script, or where the platform says it put the files.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
for place in "$here" "${CODE_SOURCE_PATH:-}" "$(dirname "${HYPERPARAMETERS_PATH:-$here/hyperparameters.yaml}")"; do
  if [ -f "$place/train.py" ]; then break; fi
done
if [ ! -f "$place/train.py" ]; then
  echo "command.sh: NO_PROGRAM: train.py is neither beside it, nor in CODE_SOURCE_PATH, nor beside HYPERPARAMETERS_PATH" >&2
  exit 2
fi

export HYPERPARAMETERS_PATH="${HYPERPARAMETERS_PATH:-$place/hyperparameters.yaml}"
export MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true HF_HUB_DISABLE_TELEMETRY=1
export MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR=false HF_HUB_DISABLE_PROGRESS_BARS=1 PYTHONUNBUFFERED=1

if [ -n "${MLFLOW_RUN_ID:-}" ]; then
  export MLFLOW_TRACKING_URI="${MLFLOW_TRACKING_URI:-databricks}"
fi

# A copy under a name that can be imported, on this machine's own disk.
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir "$work/bundle"
cp "$place"/*.py "$work/bundle/"
export PYTHONPATH="$work${PYTHONPATH:+:$PYTHONPATH}"

if [ "${WORLD_SIZE:-1}" -gt 1 ]; then
  # the numbers are of the node; each process on it gets its own from the launcher
  nodes="${NUM_NODES:-1}" node="${NODE_RANK:-0}" processes="${LOCAL_WORLD_SIZE:-$WORLD_SIZE}"
  unset WORLD_SIZE LOCAL_WORLD_SIZE
  set -- python -m torch.distributed.run --nnodes "$nodes" --node-rank "$node" --nproc-per-node "$processes" \
    --master-addr "${MASTER_ADDR:-127.0.0.1}" --master-port "${MASTER_PORT:-29500}" -m bundle.train
else
  unset WORLD_SIZE LOCAL_WORLD_SIZE
  set -- python -m bundle.train
fi

# The signal that ends the job is for the training, which ends its run in order.
"$@" &
child=$!
trap 'kill -TERM "$child" 2>/dev/null || true' TERM INT
status=0
wait "$child" || status=$?
while kill -0 "$child" 2>/dev/null; do
  status=0
  wait "$child" || status=$?
done
exit "$status"
