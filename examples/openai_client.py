"""The official `openai` package: point it at a gateway, change nothing else."""

import os

from openai import OpenAI

url = os.environ.get("ORRERY_URL", "http://127.0.0.1:8080")
client = OpenAI(base_url=f"{url}/v1", api_key=os.environ.get("ORRERY_API_KEY", "none"))

# What OpenAI's API has no name for goes into `extra_body`.
video = client.videos.create_and_poll(
    prompt="A red ball rolls across a wooden table.",
    extra_body={"seed": 7, "num_inference_steps": 4},
)
if video.status != "completed":
    raise SystemExit(f"{video.id} ended as {video.status}: {video.error}")
for variant, suffix in {"video": "mp4", "thumbnail": "png", "spritesheet": "jpg"}.items():
    client.videos.download_content(video.id, variant=variant).write_to_file(f"openai.{suffix}")

remixed = client.videos.remix(video.id, prompt="A blue ball rolls across a wooden table.")
print(video.id, video.size, video.seconds, "remixed as", remixed.id)
