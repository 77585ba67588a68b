"""gRPC: create, watch, download, with the stubs that come with Orrery (`orrery.v1`)."""

import os

import grpc

from orrery.v1.worlds_pb2 import CreateRequest, DownloadRequest, Status, WatchRequest
from orrery.v1.worlds_pb2_grpc import WorldsStub

target = os.environ.get("ORRERY_GRPC", "127.0.0.1:9090")
metadata = [("authorization", f"Bearer {key}")] if (key := os.environ.get("ORRERY_API_KEY")) else []

with grpc.insecure_channel(target) as channel:
    worlds = WorldsStub(channel)
    request = CreateRequest(prompt="A red ball rolls across a wooden table.", seed=8, num_inference_steps=4)
    # Under a key the call can be sent again after a time-out without a second job.
    keyed = (*metadata, ("idempotency-key", f"example-{os.getpid()}"))
    world = worlds.Create(request, metadata=keyed, timeout=30)
    for event in worlds.Watch(WatchRequest(id=world.id), metadata=metadata):
        print(event.type, f"{event.stage} {event.step}/{event.num_steps}" if event.HasField("step") else "")
        world = event.world if event.HasField("world") else world
    if world.status != Status.STATUS_COMPLETED:
        raise SystemExit(f"{world.id}: {world.error.message}")
    with open("grpc.mp4", "wb") as file:
        for chunk in worlds.Download(DownloadRequest(id=world.id), metadata=metadata):
            file.write(chunk.data)
