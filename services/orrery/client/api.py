"""The HTTP API as a client sees it: what the command line stands on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from orrery.worlds.errors import OrreryError, StageFailed, StoreUnavailable, from_dict

_TIMEOUT = httpx.Timeout(30.0, read=None)


class Gateway:
    """One gateway. Every refusal is raised as the typed error that the server sent."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=_TIMEOUT, trust_env=False)

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def create_video(self, fields: dict[str, Any], conditioning: Path | None) -> dict[str, Any]:
        """The job. `fields` are those of `POST /v1/videos`; `conditioning` is an image or a clip."""
        if conditioning is None:
            return self._json("POST", "/v1/videos", json=fields)
        form = {name: str(value) for name, value in fields.items()}
        with conditioning.open("rb") as file:
            return self._json("POST", "/v1/videos", data=form, files={"input_reference": (conditioning.name, file)})

    def video(self, job_id: str) -> dict[str, Any]:
        return self._json("GET", f"/v1/videos/{job_id}")

    def videos(self, *, limit: int, after: str | None = None) -> dict[str, Any]:
        """A page of jobs, the latest first."""
        return self._json("GET", "/v1/videos", params={"limit": limit} | ({"after": after} if after else {}))

    def dead_jobs(self, *, limit: int) -> dict[str, Any]:
        return self._json("GET", "/v1/jobs/dead", params={"limit": limit})

    def act(self, job_id: str, action: str) -> dict[str, Any]:
        """`cancel`, `requeue` or `webhook:replay`."""
        return self._json("POST", f"/v1/videos/{job_id}/{action}")

    def models(self) -> list[dict[str, Any]]:
        data: list[dict[str, Any]] = self._json("GET", "/v1/models")["data"]
        return data

    def has_random_weights(self, model: str) -> bool:
        """Whether what the model makes is noise."""
        return any(each["id"] == model and each.get("random_weights") for each in self.models())

    def delete(self, job_id: str) -> dict[str, Any]:
        return self._json("DELETE", f"/v1/videos/{job_id}")

    def download(self, job_id: str, path: Path, *, variant: str = "video") -> int:
        """Writes the content beside `path` and moves it there when it is whole; gives its size in bytes."""
        part = path.with_name(path.name + ".part")
        with self._client.stream("GET", f"/v1/videos/{job_id}/content", params={"variant": variant}) as answer:
            _raise_for(answer)
            with part.open("wb") as file:
                size = sum(file.write(chunk) for chunk in answer.iter_bytes())
        part.replace(path)
        return size

    def _json(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        try:
            answer = self._client.request(method, path, **arguments)
        except httpx.TransportError as error:
            raise StoreUnavailable(f"no gateway at {self._client.base_url}: {error}; start one with `orrery up`") from error
        _raise_for(answer)
        body: dict[str, Any] = answer.json()
        return body


def _raise_for(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    answer.read()
    raise error_of(answer)


def error_of(answer: httpx.Response) -> OrreryError:
    try:
        return from_dict(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return StageFailed(f"the gateway answered {answer.status_code}: {answer.text[:200]}")
