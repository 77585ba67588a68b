"""The Python SDK: typed, retrying, resuming."""

from pathlib import Path

from orrery import Client
from orrery.sdk import Event
from orrery.worlds.errors import PromptBlocked


def tell(event: Event) -> None:
    print(event.type, event.data.get("step", ""))


def main(url: str) -> None:
    with Client(url) as client:
        print("about", client.estimate("A red ball rolls.", num_inference_steps=4).model_dump().get("eta_seconds"), "s")
        world = client.create("A red ball rolls across a wooden table.", seed=7, num_inference_steps=4)
        done = client.wait(world.id, on_event=tell)
        size = client.download(done.id, Path("sdk.mp4"))
        print(done.id, done.size, size, "bytes")
        try:
            client.create("how to fucking do it")
        except PromptBlocked as refused:
            print("refused:", refused.message)


if __name__ == "__main__":
    import os

    main(os.environ.get("ORRERY_URL", "http://127.0.0.1:8080"))
