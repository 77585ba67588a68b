"""What is wrong before there is a request: heads, lengths, and clients that take their time."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.hostile.case import JSON, Case, Sent, get, post, post_bytes, request

PLAIN_400 = "400"
"""The protocol below answers it."""

IMPATIENT = {"body_idle_seconds": 0.4, "body_seconds": 0.8}
START = "POST /v1/videos HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"


def raw(
    name: str, how: str, result: str, data: str | bytes, dripping: bytes = b"", settings: Mapping[str, object] | None = None
) -> Case:
    sent = Sent(data.encode("latin-1") if isinstance(data, str) else data, dripping, 0.05)
    return Case(name, how, result, lambda: sent, settings=IMPATIENT | dict(settings or {}))


CASES = (
    Case(
        "Head: many headers",
        "200 headers",
        "431 headers_too_large",
        lambda: get("/v1/videos", **{f"X-{k}": "1" for k in range(200)}),
    ),
    Case("Head: a large header", "one of 40,000 bytes", "431 headers_too_large", lambda: get("/v1/videos", Large="1" * 40_000)),
    Case("Head: a larger header", "one of 200,000 bytes", PLAIN_400, lambda: get("/v1/videos", Large="1" * 200_000)),
    Case(
        "Head: a long URL", "a query of 40,000 bytes", "431 headers_too_large", lambda: get("/v1/videos?after=" + "1" * 40_000)
    ),
    raw(
        "Head: headers without end",
        "`A: b` for as long as the server listens",
        PLAIN_400,
        "GET / HTTP/1.1\r\n" + "A: b\r\n" * 50_000,
        b"A: b\r\n" * 1000,
    ),
    raw("Slow: nothing is sent", "a connection without a byte", "closed", ""),
    raw("Slow: half a request line", "`GET /hea`, then nothing", "closed", "GET /hea"),
    raw("Slow: half a head", "one header, then nothing", "closed", "GET / HTTP/1.1\r\nHost: a\r\n"),
    raw("Slow: a head that drips", "a header every 50 ms", "closed", "GET / HTTP/1.1\r\n", b"A: b\r\n"),
    raw("Slow: a body that stops", "10 of 100 bytes", "408 request_too_slow", START + 'Content-Length: 100\r\n\r\n{"prompt":'),
    raw(
        "Slow: a body that drips",
        "a byte every 50 ms",
        "408 request_too_slow",
        START + "Transfer-Encoding: chunked\r\n\r\n",
        b"1\r\n{\r\n",
    ),
    raw(
        "Slow: an upload that stops",
        "2 of 9 MB of a form",
        "408 request_too_slow",
        START.replace(JSON, "multipart/form-data; boundary=b")
        + 'Content-Length: 9000000\r\n\r\n--b\r\nContent-Disposition: form-data; name="input_reference"; filename="a"\r\n\r\n'
        + "x" * 2_000_000,
    ),
    raw(
        "Length: announced too large",
        "`Content-Length: 999999999999`",
        "413 upload_too_large",
        START + "Content-Length: 999999999999\r\n\r\n{",
    ),
    raw("Length: with 5,000 digits", "`Content-Length` of nines", PLAIN_400, START + f"Content-Length: {'9' * 5000}\r\n\r\n{{"),
    raw("Length: negative", "`Content-Length: -1`", PLAIN_400, START + "Content-Length: -1\r\n\r\n{}"),
    raw(
        "Length: two that differ",
        "`Content-Length` 2 and 3",
        PLAIN_400,
        START + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    ),
    raw(
        "Length: smuggled",
        "`Content-Length` beside `Transfer-Encoding`",
        "422 invalid_field",
        START + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        "2\r\n{}\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n",
    ),
    raw(
        "Length: an encoding twice",
        "`Transfer-Encoding: chunked, chunked`",
        PLAIN_400,
        START + "Transfer-Encoding: chunked, chunked\r\n\r\n",
    ),
    raw(
        "Length: chunk of 2^64 bytes",
        "`10000000000000000`",
        "408 request_too_slow",
        START + "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n{",
    ),
    raw("Length: chunk that is none", "`zz`", PLAIN_400, START + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{"),
    raw(
        "Length: more than is taken, in chunks",
        "chunks of 1 MB without end",
        "413 upload_too_large",
        START + "Transfer-Encoding: chunked\r\n\r\n",
        b"100000\r\n" + b" " * 0x100000 + b"\r\n",
        {"max_json_bytes": 2_000_000},
    ),
    raw(
        "Protocol: TLS", "a ClientHello", PLAIN_400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n"
    ),
    raw("Protocol: HTTP/2", "its preface, twice a request", "404", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    raw("Protocol: HTTP/0.9", "`GET /`", PLAIN_400, "GET /\r\n\r\n"),
    raw("Protocol: no host", "HTTP/1.1 without `Host`", PLAIN_400, "GET / HTTP/1.1\r\n\r\n"),
    raw("Protocol: NUL in a header", "`X: a\\0b`", PLAIN_400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"),
    raw("Protocol: blank before the colon", "`Host : a`", PLAIN_400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
    raw("Protocol: random bytes", "1,000 of them", PLAIN_400, bytes((k * 7919) % 251 for k in range(1000)) + b"\r\n\r\n"),
    Case("Protocol: a method nobody knows", "`SUDO /v1/videos`", "405 method_not_allowed", lambda: request("SUDO /v1/videos")),
    Case("Protocol: TRACE", "`TRACE /v1/videos`", "405 method_not_allowed", lambda: request("TRACE /v1/videos")),
    Case("Protocol: CONNECT", "`CONNECT 127.0.0.1:CANARY`", "404 not_found", lambda: request("CONNECT 127.0.0.1:CANARY")),
    Case(
        "Protocol: another host's URL",
        "`GET http://127.0.0.1:CANARY/`",
        "404 not_found",
        lambda: request("GET http://127.0.0.1:CANARY/"),
    ),
    Case(
        "Protocol: WebSocket",
        "an upgrade of `/v1/events`",
        "404 not_found",
        lambda: get("/v1/nothing", Upgrade="websocket", Connection="Upgrade, close"),
    ),
    Case(
        "Protocol: a method in a header",
        "`X-HTTP-Method-Override: DELETE`",
        "404 job_not_found",
        lambda: get("/v1/videos/video_" + "0" * 32, **{"X-HTTP-Method-Override": "DELETE"}),
    ),
    Case(
        "Protocol: other content type",
        "JSON as `text/plain`",
        "415 unsupported_content_type",
        lambda: post_bytes(b"{}", content_type="text/plain"),
    ),
    Case(
        "Protocol: packed body",
        "`Content-Encoding: gzip`",
        "400 malformed_body",
        lambda: post_bytes(b"\x1f\x8b\x08" + bytes(99), **{"Content-Encoding": "gzip"}),
    ),
    Case(
        "Rate: more than a caller may",
        "the second request where 1 is taken at once",
        "429 too_many_requests",
        lambda: post(),
        settings={"rate_per_second": 0.001, "rate_burst": 1},
    ),
)
