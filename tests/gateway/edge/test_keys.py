"""Keys: how they are made, kept, found and taken back; gateways that may not do without."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.edge.callers import guarded, write_keys
from gateway.rig import Rig
from orrery.gateway.edge.errors import Unauthenticated
from orrery.gateway.edge.keys import KeyRing, new_key, read_keys
from orrery.gateway.settings import GatewaySettings
from orrery.worlds.environment import from_environment

REQUIRED = {"ORRERY_REDIS_URL": "redis://r", "ORRERY_ARTIFACTS_URL": "file:///a"}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_secret_is_not_kept(tmp_path: Path) -> None:
    secret, key = new_key(tenant="a")
    write_keys(tmp_path / "keys.json", key)
    assert re.fullmatch(r"orrery_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", secret)
    assert secret.removeprefix(f"orrery_{key.id}_") not in (tmp_path / "keys.json").read_text()
    assert KeyRing(tmp_path / "keys.json").find(secret) == key


@pytest.mark.parametrize("wrong", [None, "", "orrery", "Bearer", "orrery_0123456789ab_" + "A" * 43, "\u00e9", "x" * 100_000])
def test_other_secrets_are_not_found(tmp_path: Path, wrong: str | None) -> None:
    secret, key = new_key(tenant="a")
    write_keys(tmp_path / "keys.json", key)
    ring = KeyRing(tmp_path / "keys.json")
    with pytest.raises(Unauthenticated):
        ring.find(wrong)
    with pytest.raises(Unauthenticated):
        ring.find(secret[:-1] + ("A" if secret[-1] != "A" else "B"))


def test_a_file_in_toml_says_the_same(tmp_path: Path) -> None:
    secret, key = new_key(tenant="a", models=("tiny-predict2",), admin=True)
    lines = [f'id = "{key.id}"', f'sha256 = "{key.sha256}"', 'tenant = "a"', "admin = true", 'models = ["tiny-predict2"]']
    (tmp_path / "keys.toml").write_text("[[keys]]\n" + "\n".join(lines) + "\n")
    assert KeyRing(tmp_path / "keys.toml").find(secret) == key


def test_a_key_that_is_taken_out_is_refused_soon(tmp_path: Path) -> None:
    path, clock = tmp_path / "keys.json", Clock()
    (old, old_key), (new, new_entry) = new_key(tenant="a"), new_key(tenant="b", admin=True)
    write_keys(path, old_key)
    ring = KeyRing(path, clock)
    write_keys(path, new_entry)
    assert ring.find(old) == old_key
    clock.now += 2
    assert ring.find(new) == new_entry
    with pytest.raises(Unauthenticated):
        ring.find(old)


def test_a_broken_file_leaves_the_keys_and_does_not_tell_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, clock = tmp_path / "keys.json", Clock()
    secret, key = new_key(tenant="a")
    write_keys(path, key)
    ring = KeyRing(path, clock)
    path.write_text(json.dumps({"keys": [{"id": secret, "sha256": secret, "tenant": "a"}]}))
    clock.now += 2
    assert ring.find(secret) == key
    assert "stay as they were" in caplog.text
    assert secret not in caplog.text


@pytest.mark.parametrize(
    "keys",
    [
        "",
        "[]",
        '{"keys": [{"id": "x"}]}',
        '{"keys": [{"id": "0123456789ab", "sha256": "00", "tenant": "a"}]}',
        '{"keys": [{"id": "0123456789ab", "sha256": "%s", "tenant": "../a"}]}' % ("0" * 64),
        '{"keys": [{"id": "0123456789ab", "sha256": "%s", "tenant": "a", "key": "b"}]}' % ("0" * 64),
    ],
)
def test_files_are_read_strictly(tmp_path: Path, keys: str) -> None:
    (tmp_path / "keys.json").write_text(keys)
    with pytest.raises(ValueError, match=r"validation error|Expecting"):
        read_keys(tmp_path / "keys.json")


def test_two_keys_of_one_id_are_an_error(tmp_path: Path) -> None:
    _, key = new_key(tenant="a")
    write_keys(tmp_path / "keys.json", key, key)
    with pytest.raises(ValueError, match="two keys"):
        read_keys(tmp_path / "keys.json")
    with pytest.raises(ValueError, match="neither"):
        read_keys(tmp_path / "keys.yaml")


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::", "192.168.1.4", "example.com"])
def test_a_gateway_that_others_can_reach_needs_keys(host: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="ORRERY_API_KEYS_FILE"):
        from_environment(GatewaySettings, REQUIRED | {"ORRERY_HOST": host})
    assert from_environment(GatewaySettings, REQUIRED | {"ORRERY_HOST": host, "ORRERY_API_KEYS": "off"}).host == host
    with_keys = {"ORRERY_HOST": host, "ORRERY_API_KEYS_FILE": str(tmp_path / "keys.json")}
    assert from_environment(GatewaySettings, REQUIRED | with_keys).host == host
    with pytest.raises(ValidationError, match="contradict"):
        from_environment(GatewaySettings, REQUIRED | with_keys | {"ORRERY_API_KEYS": "off"})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_on_this_machine_alone_no_key_is_needed(host: str) -> None:
    assert from_environment(GatewaySettings, REQUIRED | {"ORRERY_HOST": host}).api_keys_file is None


async def test_without_a_key_nothing_but_health_answers(tmp_path: Path) -> None:
    async with guarded(tmp_path, {"tenant": "a"}) as (rig, (caller,)):
        for path in ("/v1/videos", "/v1/models", "/metrics", "/v1/metrics", "/v1/events", "/openapi.json", "/nothing"):
            answer = await rig.client.get(path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthenticated"), path
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        for path in ("/health/live", "/v1/health/live"):
            assert (await rig.client.get(path)).status_code == 200
        assert (await caller.get("/v1/videos")).status_code == 200
        with_header = await rig.client.get("/v1/videos", headers={"x-api-key": caller.secret})
        assert with_header.status_code == 200
        for value in (f"Basic {caller.secret}", caller.secret, "Bearer ", f"Bearer {caller.secret}x"):
            assert (await rig.client.get("/v1/videos", headers={"Authorization": value})).status_code == 401


async def test_guessing_keys_is_slowed_down(tmp_path: Path) -> None:
    async with guarded(tmp_path, {"tenant": "a"}, rate_burst=5) as (rig, (caller,)):
        tried = [await rig.client.get("/v1/videos", headers={"x-api-key": f"no{k}"}) for k in range(7)]
        assert [answer.status_code for answer in tried] == [401] * 5 + [429] * 2
        assert int(tried[-1].headers["Retry-After"]) >= 1
        assert (await caller.get("/v1/videos")).status_code == 200


async def test_keys_are_in_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with guarded(tmp_path, {"tenant": "a"}) as (_, (caller,)):
        await caller.create()
        await caller.get("/v1/videos/nothing")
    told = [record.__dict__ for record in caplog.records if record.name == "orrery.gateway.edge.identity"]
    assert [(one["key"], one["tenant"], one["route"]) for one in told] == [
        (caller.key.id, "a", "/v1/videos"),
        (caller.key.id, "a", "/v1/videos/{job_id}"),
    ]
    assert caller.secret not in "\n".join(str(record.__dict__) for record in caplog.records)


async def test_without_keys_everybody_is_an_operator(rig: Rig) -> None:
    assert (await rig.client.get("/metrics")).status_code == 200
    assert (await rig.client.get("/v1/jobs/dead")).status_code == 200
