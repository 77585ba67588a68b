#!/bin/sh
# Server-sent events of one job, from its first to its end. `Last-Event-ID` goes on where a connection broke.
set -eu
url="${ORRERY_URL:-http://127.0.0.1:8080}"
key="Authorization: Bearer ${ORRERY_API_KEY:-none}"

job=$(curl --fail-with-body --silent --show-error "$url/v1/videos" --header "$key" \
    --header "Content-Type: application/json" \
    --data '{"prompt": "A red ball rolls across a wooden table.", "seed": 9, "num_inference_steps": 4}' |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])')
curl --fail-with-body --silent --show-error --no-buffer --header "$key" "$url/v1/videos/$job/events"
