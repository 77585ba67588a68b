"""A whole Orrery that asks for keys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.stack import running
from orrery.gateway.edge.keys import new_key


def test_a_key_makes_a_video_that_another_tenant_does_not_see(
    tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mine, key), (theirs, other) = new_key(tenant="studio"), new_key(tenant="other")
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [one.model_dump(mode="json") for one in (key, other)]}))
    monkeypatch.setenv("ORRERY_API_KEYS_FILE", str(path))
    with running(tmp_path / "home", models_dir) as stack:
        assert stack.client.get("/v1/videos").status_code == 401
        stack.client.headers["Authorization"] = f"Bearer {mine}"
        job = stack.make(prompt="a ball", num_inference_steps=2, num_frames=5)
        assert job["tenant"] == "studio"
        assert stack.content(job["id"])[4:8] == b"ftyp"
        url, out = str(stack.client.base_url), tmp_path / "out.mp4"
        command = [sys.executable, "-m", "orrery.client.cli", "generate", "a ball", "--url", url, "-o", str(out)]
        made = [*command, "--num-frames", "5", "--num-inference-steps", "2"]
        subprocess.run(made, env=os.environ | {"ORRERY_API_KEY": mine}, check=True, timeout=120)
        assert out.read_bytes()[4:8] == b"ftyp"
        assert subprocess.run(made, env=os.environ, capture_output=True, timeout=60, check=False).returncode != 0
        stack.client.headers["Authorization"] = f"Bearer {theirs}"
        assert stack.client.get(f"/v1/videos/{job['id']}").status_code == 404
        assert stack.client.get("/v1/videos").json()["data"] == []
    logs = "".join(log.read_text() for log in (tmp_path / "home" / "logs").iterdir())
    assert mine not in logs
    assert key.id in logs
