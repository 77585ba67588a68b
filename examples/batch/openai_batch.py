"""Many requests in one file, by the official `openai` package. `orrery batch requests.jsonl` does the same in one line."""

import json
import os
import time
from pathlib import Path

from openai import OpenAI

url = os.environ.get("ORRERY_URL", "http://127.0.0.1:8080")
client = OpenAI(base_url=f"{url}/v1", api_key=os.environ.get("ORRERY_API_KEY", "none"))

requests = Path(__file__).with_name("requests.jsonl")
file = client.files.create(file=requests, purpose="batch")
batch = client.batches.create(input_file_id=file.id, endpoint="/v1/videos", completion_window="24h")
while batch.status not in ("completed", "failed", "expired", "cancelled"):
    time.sleep(0.5)
    batch = client.batches.retrieve(batch.id)
if batch.status != "completed" or batch.output_file_id is None:
    raise SystemExit(f"{batch.id} ended as {batch.status}: {batch.errors}")
for line in client.files.content(batch.output_file_id).text.splitlines():
    result = json.loads(line)
    video_id = result["response"]["body"]["id"]
    client.videos.download_content(video_id).write_to_file(f"batch-{result['custom_id']}.mp4")
    print(result["custom_id"], video_id)
