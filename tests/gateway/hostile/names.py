"""Paths, names, texts and numbers."""

from __future__ import annotations

import json

from gateway.hostile.case import Case, form, get, part, post, post_bytes, request, upload
from gateway.samples import png

FIELD, BODY, UNKNOWN = "422 invalid_field", "400 malformed_body", "422 unknown_field"
JOB = "404 job_not_found"
NO_JOB = "video_" + "0" * 32


def body(name: str, how: str, text: bytes | str, result: str = BODY) -> Case:
    made = text if isinstance(text, bytes) else text.encode()
    return Case(name, how, result, lambda: post_bytes(made), leaves=result == "202")


def path(name: str, written: str, result: str = JOB) -> Case:
    return Case(name, f"`GET {written}`", result, lambda: get(written))


PATHS = (
    path("Path: parents", "/v1/videos/../../../etc/passwd", "404 not_found"),
    path("Path: parents, encoded", "/v1/videos/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "404 not_found"),
    path("Path: parents, encoded twice", "/v1/videos/%252e%252e%252fetc%252fpasswd"),
    path("Path: backslashes", "/v1/videos/..%5c..%5cetc%5cpasswd"),
    path("Path: NUL", "/v1/videos/video_%00"),
    path("Path: line breaks", "/v1/videos/video_%0d%0aX-Evil:%201"),
    path("Path: bytes that are no text", "/v1/videos/%ff%fe"),
    path("Path: a key of the store", "/v1/videos/%7borrery%7d:jobs"),
    path("Path: a pattern", "/v1/videos/*"),
    path("Path: an id with more after it", f"/v1/videos/{NO_JOB}%0a"),
    path("Path: digits that are not ASCII", "/v1/videos/video_" + "%d9%a0" * 32),
    path("Path: content of parents", "/v1/videos/..%2f..%2fetc/content", "404 not_found"),
    path("Path: variant of parents", f"/v1/videos/{NO_JOB}/content?variant=../../../etc/passwd"),
    path("Path: a file's id", "/v1/files/..%2f..%2fetc%2fpasswd", "404 not_found"),
    path("Path: a file's id without slashes", "/v1/files/..", "404 file_not_found"),
    path("Path: a batch's id", "/v1/batches/%7borrery%7d", "404 batch_not_found"),
    path("Path: a cursor", "/v1/videos?after=../../etc/passwd"),
    path("Path: a limit", "/v1/videos?limit=999999999999999999999", FIELD),
    path("Path: a negative limit", "/v1/videos?limit=-1", FIELD),
    path("Path: a model", "/v1/models/..%2f..%2fetc%2fpasswd", "404 not_found"),
    Case(
        "Name: file of parents",
        "a picture called `../../../../tmp/evil.png`",
        "202",
        lambda: upload(png(8, 8), "../../../../tmp/evil.png"),
        leaves=True,
    ),
    Case(
        "Name: absolute file",
        "a picture called `/etc/cron.d/evil`",
        "202",
        lambda: upload(png(8, 8), "/etc/cron.d/evil"),
        leaves=True,
    ),
    Case(
        "Name: NUL in a file's", "a picture called `a.png\\0.exe`", "202", lambda: upload(png(8, 8), "a.png\0.exe"), leaves=True
    ),
    Case("Name: a file's of 100,000 characters", "many `a`", "400 malformed_body", lambda: upload(png(8, 8), "a" * 100_000)),
    Case("Name: a file for a text", "`prompt` with a file's name", FIELD, lambda: form(part("prompt", b"a box", "a.txt"))),
    Case(
        "Name: tenant of parents",
        "`X-Orrery-Tenant: ../a`",
        FIELD,
        lambda: post_bytes(b'{"prompt": "a box"}', **{"X-Orrery-Tenant": "../a"}),
    ),
    Case(
        "Name: key of control characters",
        "`Idempotency-Key` with a tab",
        FIELD,
        lambda: post_bytes(b'{"prompt": "a box"}', **{"Idempotency-Key": "a\tb"}),
    ),
    Case("Name: an event's id", "`Last-Event-ID: $`", FIELD, lambda: get("/v1/events", **{"Last-Event-ID": "$"})),
    Case(
        "Name: a request's id",
        '`X-Request-Id: {}"` is replaced',
        JOB,
        lambda: get(f"/v1/videos/{NO_JOB}", **{"X-Request-Id": '{}"'}),
    ),
    Case(
        "Name: a field's of 60,000 characters", "a form's field", "400 malformed_body", lambda: form(part("a" * 60_000, b"1"))
    ),
    Case("Name: an object's own", "`__proto__`, `__class__`", UNKNOWN, lambda: post(__proto__={"a": 1}, __class__="x")),
    Case("Name: an object in a form", "`prompt[__class__]`", FIELD, lambda: form(part("prompt[a]", b"1"))),
)

TEXTS = (
    Case("Unicode: half of a pair", '`"\\ud800"`', FIELD, lambda: post(prompt="\ud800")),
    Case("Unicode: half of a pair as a name", '`{"\\ud800": 1}`', UNKNOWN, lambda: post(**{"\ud800": 1})),
    Case("Unicode: NUL", "a NUL in the prompt", FIELD, lambda: post(prompt="a\0b")),
    Case(
        "Unicode: blocked word in fullwidth",
        "a word of the list, `ｎｕｄｅ`",
        "422 prompt_blocked",
        lambda: post(prompt="ｎｕｄｅ"),
    ),
    Case(
        "Unicode: blocked word with nothing in it",
        "a zero-width space inside",
        "422 prompt_blocked",
        lambda: post(prompt="n\u200bude"),
    ),
    Case("Unicode: blocked word from elsewhere", "a Cyrillic letter inside", "422 prompt_blocked", lambda: post(prompt="nuԁe")),
    Case(
        "Unicode: turned text",
        "a right-to-left override is kept as it is",
        "202",
        lambda: post(prompt="a \u202e xob"),
        leaves=True,
    ),
    Case(
        "Unicode: marks without end",
        "a letter with 19,000 marks is one word",
        "202",
        lambda: post(prompt="a" + "\u0301" * 19_000),
        leaves=True,
    ),
    Case(
        "Unicode: a name in fullwidth",
        "`ｐｒｏｍｐｔ`",
        UNKNOWN,
        lambda: post_bytes(json.dumps({"ｐｒｏｍｐｔ": "a"}).encode()),
    ),
    Case("Unicode: a text of a million characters", "one word", FIELD, lambda: post(prompt="a" * 1_000_000)),
    body("Unicode: bytes that are no text", "`\\xff\\xfe` and more", b'\xff\xfe{"prompt": "a"}'),
    body("Unicode: overlong encoding", "`/` as `\\xc0\\xaf`", b'{"prompt": "\xc0\xaf"}'),
    body("Unicode: UTF-7", "`+AGEA`", b"+AHsAfQ-"),
)

NUMBERS = (
    body("JSON: 100,000 levels of lists", "`[[[[...`", "[" * 100_000),
    body("JSON: 100,000 levels of objects", '`{"a":{"a":...`', '{"a":' * 100_000 + "1" + "}" * 100_000),
    body("JSON: 33 levels", "well-formed, one more than is taken", '{"a":' * 33 + "1" + "}" * 33),
    body("JSON: a name twice", '`{"prompt": "a", "prompt": "b"}`', '{"prompt": "a", "prompt": "b"}'),
    body(
        "JSON: a name twice, deep inside",
        "in `input_reference`",
        '{"prompt": "a", "input_reference": {"file_id": "a", "file_id": "b"}}',
    ),
    body("JSON: a name twice, once escaped", '`"prompt"` and `"\\u0070rompt"`', '{"prompt": "a", "\\u0070rompt": "b"}'),
    body("JSON: a list", "`[]`", "[]"),
    body("JSON: more after the end", "`{} {}`", "{} {}"),
    body("JSON: with comments", "`{} // a`", "{} // a"),
    body("JSON: nothing", "blanks", "   "),
    body("JSON: an integer of 5,000 digits", "`seed` of nines", '{"prompt": "a", "seed": ' + "9" * 5000 + "}"),
    body("JSON: an integer of 400 digits", "`seed`", '{"prompt": "a", "seed": ' + "9" * 400 + "}", FIELD),
    body("JSON: 2^64", "`seed`", '{"prompt": "a", "seed": 18446744073709551616}', FIELD),
    body("JSON: minus zero and a half", "`num_frames`", '{"prompt": "a", "num_frames": -0.5}', FIELD),
    body("JSON: 1e999", "`guidance_scale` is infinite", '{"prompt": "a", "guidance_scale": 1e999}', FIELD),
    body("JSON: NaN", "`guidance_scale`", '{"prompt": "a", "guidance_scale": NaN}', FIELD),
    body("JSON: 1e-999999", "`guidance_scale` is zero", '{"prompt": "a", "guidance_scale": 1e-999999}', "202"),
    body("JSON: true for a number", "`seed`", '{"prompt": "a", "seed": true}', FIELD),
    body("JSON: 100,000 fields", "of unknown names", json.dumps({f"f{k}": k for k in range(100_000)}), UNKNOWN),
    body("JSON: larger than is taken", "33 MiB of blanks", b" " * (33 * 2**20), "413 upload_too_large"),
    Case("Form: 1,000 fields", "of unknown names", BODY, lambda: form(*(part(f"f{k}", b"1") for k in range(1000)))),
    Case("Form: a field twice", "`prompt`", FIELD, lambda: form(part("prompt", b"a"), part("prompt", b"b"))),
    Case("Form: without an end", "the last boundary is missing", BODY, lambda: form(part("prompt", b"a"), end=b"")),
    Case(
        "Form: two files",
        "of one name",
        BODY,
        lambda: form(part("prompt", b"a"), part("input_reference", png(8, 8), "a"), part("input_reference", png(8, 8), "b")),
    ),
    Case("Form: a text of 2 MB", "`prompt`", BODY, lambda: form(part("prompt", b"a" * 2_000_000))),
    Case(
        "Form: no boundary",
        "`multipart/form-data` alone",
        BODY,
        lambda: post_bytes(b"--b\r\n", content_type="multipart/form-data"),
    ),
    Case(
        "Form: digits that are not ASCII",
        "`seed` is `１７`",
        FIELD,
        lambda: form(part("prompt", b"a"), part("seed", "１７".encode())),
    ),
    Case("Estimate: extremes", "`num_frames` of 10^18", FIELD, lambda: post("/v1/videos:estimate", num_frames=10**18)),
    Case("Images: a million", "`n`", FIELD, lambda: post("/v1/images/generations", n=1_000_000)),
    Case(
        "Range: a thousand",
        "1,000 ranges of a video that is not there",
        JOB,
        lambda: request(f"GET /v1/videos/{NO_JOB}/content", {"Range": "bytes=" + ",".join(["0-0"] * 1000)}),
    ),
)

CASES = (*PATHS, *TEXTS, *NUMBERS)
