#!/bin/sh
# NVIDIA's own input files, unchanged: what they name is read here and uploaded, and the outputs have the official names.
set -eu
here=$(dirname "$0")

orrery generate --num-inference-steps 4 --output predict1 -i "$here/predict1_batch.jsonl"
orrery generate --num-inference-steps 4 --output predict2 -i "$here/predict2_batch.json"
orrery generate --output predict2_5 -i "$here/predict2_5.json"
