"""Makes one video through a gateway, and looks at what comes back.

    python video.py URL PROMPT SECONDS

It runs in the gateway's image, with what is there. An API key is read from ORRERY_API_KEY. Ends with 1, and a
line that says why, if there is no video after so many seconds.
"""

from __future__ import annotations

import json
import os
import sys
import time

import httpx

PAUSE = 1.0
ENDED = ("completed", "failed", "cancelled")


def main(url: str, prompt: str, seconds: str) -> None:
    deadline = time.monotonic() + float(seconds)
    job = json.loads(_ask(f"{url}/v1/videos", {"prompt": prompt}))
    print("created", job["id"], flush=True)
    while job["status"] not in ENDED:
        if time.monotonic() > deadline:
            raise SystemExit(f"{job['id']} is still {job['status']} after {seconds} s")
        time.sleep(PAUSE)
        job = json.loads(_ask(f"{url}/v1/videos/{job['id']}"))
    if job["status"] != "completed":
        raise SystemExit(f"{job['id']} {job['status']}: {job.get('error')}")
    video = _ask(f"{url}/v1/videos/{job['id']}/content")
    if video[4:8] != b"ftyp":
        raise SystemExit(f"{job['id']} is no MP4: it begins with {video[:12]!r}")
    print("made", len(video), "bytes")


def _ask(url: str, body: object = None) -> bytes:
    headers = {"Authorization": f"Bearer {os.environ['ORRERY_API_KEY']}"} if "ORRERY_API_KEY" in os.environ else {}
    try:
        answer = httpx.request("GET" if body is None else "POST", url, json=body, headers=headers, timeout=60)
    except httpx.TransportError as error:
        raise SystemExit(f"{url} does not answer: {error}") from None
    if not answer.is_success:
        raise SystemExit(f"{url} answers {answer.status_code}: {answer.text}")
    return answer.content


if __name__ == "__main__":
    main(*sys.argv[1:])
