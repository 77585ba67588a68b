#!/bin/sh
# The Cosmos NIM's own request, by curl. The answer holds the MP4 as base64.
set -eu
url="${ORRERY_URL:-http://127.0.0.1:8080}"

curl --fail-with-body --silent --show-error "$url/v1/health/ready" >/dev/null
curl --fail-with-body --silent --show-error "$url/v1/infer" \
    --header "Content-Type: application/json" \
    --header "Authorization: Bearer ${ORRERY_API_KEY:-none}" \
    --data '{"prompt": "A red ball rolls across a wooden table.", "seed": 7, "steps": 4}' \
    --output nim.json
python3 -c 'import base64, json; print(base64.b64decode(json.load(open("nim.json"))["b64_video"]).__len__(), "bytes")'
