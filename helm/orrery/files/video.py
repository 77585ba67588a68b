"""Makes one video through a gateway, and looks at what comes back.

    python video.py URL PROMPT SECONDS

With the standard library alone: it runs in the gateway's image. An API key is read from ORRERY_API_KEY. Ends with 1, and a
line that says why, if there is no video after so many seconds.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request

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
    request = urllib.request.Request(url, method="GET" if body is None else "POST")
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    if "ORRERY_API_KEY" in os.environ:
        request.add_header("Authorization", f"Bearer {os.environ['ORRERY_API_KEY']}")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{url} answers {error.code}: {error.read().decode(errors='replace')}") from None
    except urllib.error.URLError as error:
        raise SystemExit(f"{url} does not answer: {error.reason}") from None


if __name__ == "__main__":
    main(*sys.argv[1:])
