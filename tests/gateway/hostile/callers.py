"""What somebody sends who has no key, or one of another tenant. The gateway asks for keys."""

from __future__ import annotations

from gateway.hostile.case import Case, get, post_bytes, request

NO_KEY, ASKING = "401 unauthenticated", {"api_keys_file": "keys.json"}
LIKE_A_KEY = "orrery_0123456789ab_" + "A" * 43


def asked(name: str, how: str, sent: bytes, result: str = NO_KEY) -> Case:
    return Case(name, how, result, lambda: sent, settings=ASKING)


CASES = (
    asked("Key: none", "`GET /v1/videos`", get("/v1/videos")),
    asked("Key: none, with a body", "an upload of 33 MiB that is not read", post_bytes(b" " * (33 * 2**20))),
    asked("Key: none that is known", "well-formed", get("/v1/videos", Authorization=f"Bearer {LIKE_A_KEY}")),
    asked("Key: of 30,000 characters", "many `A`", get("/v1/videos", Authorization="Bearer orrery_" + "A" * 30_000)),
    asked("Key: bytes that are no text", "`\\xff` in `x-api-key`", get("/v1/videos", **{"x-api-key": "\udcff\udcfe"})),
    asked("Key: a query for a database", "`' OR 1=1 --`", get("/v1/videos", **{"x-api-key": "' OR 1=1 --"})),
    asked("Key: another scheme", "`Basic`", get("/v1/videos", Authorization="Basic YWRtaW46YWRtaW4=")),
    asked("Key: in the URL", "`?api_key=...`", get(f"/v1/videos?api_key={LIKE_A_KEY}")),
    asked("Key: a tenant in its place", "`X-Orrery-Tenant: a`", get("/v1/videos", **{"X-Orrery-Tenant": "a"})),
    asked("Key: an address in its place", "`X-Forwarded-For: 127.0.0.1`", get("/metrics", **{"X-Forwarded-For": "127.0.0.1"})),
    asked("Key: an open path with more after it", "`/health/live/../../v1/videos`", get("/health/live/../../v1/videos")),
    asked("Key: an open path, encoded", "`/health%2flive%2f..%2f..%2fmetrics`", get("/health%2flive%2f..%2f..%2fmetrics")),
    asked("Key: two slashes", "`//metrics`", get("//metrics")),
    asked("Key: another method", "`OPTIONS /v1/videos`", request("OPTIONS /v1/videos")),
    asked("Key: the document", "`/openapi.json`", get("/openapi.json")),
)
