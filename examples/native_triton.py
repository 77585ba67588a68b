"""Triton itself, without gateway and job store: the `text2world` ensemble over KServe v2, by gRPC and by HTTP."""

import json
import os

import numpy as np
import tritonclient.grpc
import tritonclient.http

REQUEST = {"prompt": "A red ball rolls across a wooden table.", "seed": 7, "num_inference_steps": 4}
ADDRESSES = {
    tritonclient.grpc: os.environ.get("TRITON_GRPC", "127.0.0.1:8001"),
    tritonclient.http: os.environ.get("TRITON_HTTP", "127.0.0.1:8000"),
}

for kind, address in ADDRESSES.items():
    request = kind.InferInput("request", [1], "BYTES")
    request.set_data_from_numpy(np.array([json.dumps(REQUEST).encode()], dtype=np.object_))
    options = {"network_timeout": 600.0} if kind is tritonclient.http else {}
    with kind.InferenceServerClient(address, **options) as client:
        media = client.infer("text2world", [request]).as_numpy("media")
    name = f"triton-{kind.__name__.rpartition('.')[2]}.mp4"
    with open(name, "wb") as file:
        file.write(media.tobytes())
    print(name, media.size, "bytes")
