"""URLs that would have the gateway call somebody inside. URL inputs are on."""

from __future__ import annotations

from gateway.hostile.case import Case, form, part, post
from gateway.samples import png

ON = {"url_inputs": "on", "url_seconds": 2.0}
FIELD = "422 invalid_field"
MEDIA = "422 invalid_media"


def url(name: str, written: str, result: str = FIELD) -> Case:
    return Case(name, f"`input_reference` is `{written}`", result, lambda: post(input_reference=written), settings=ON)


def answered(name: str, how: str, answer: bytes, result: str, **settings: object) -> Case:
    """Of a public host that answers with bad intent."""
    made = ON | settings
    return Case(name, how, result, lambda: post(input_reference="https://public.test:HOST/"), settings=made, host=answer)


def http(status: str, body: bytes = b"", length: int | None = None, **headers: str) -> bytes:
    told = {"Content-Length": str(len(body) if length is None else length), "Connection": "close"} | headers
    return (
        "".join([f"HTTP/1.1 {status}\r\n", *(f"{k.replace('_', '-')}: {v}\r\n" for k, v in told.items()), "\r\n"]).encode()
        + body
    )


def to(location: str) -> bytes:
    return http("302 Found", Location=location)


SPELLINGS = (
    url("SSRF: http", "http://127.0.0.1:CANARY/"),
    url("SSRF: loopback", "https://127.0.0.1:CANARY/"),
    url("SSRF: decimal address", "https://2130706433:CANARY/"),
    url("SSRF: octal address", "https://0177.0.0.1:CANARY/"),
    url("SSRF: hexadecimal address", "https://0x7f000001:CANARY/"),
    url("SSRF: mixed address", "https://0x7f.0.1:CANARY/"),
    url("SSRF: short address", "https://127.1:CANARY/"),
    url("SSRF: zero", "https://0:CANARY/"),
    url("SSRF: any address", "https://0.0.0.0:CANARY/"),
    url("SSRF: IPv6 loopback", "https://[::1]:CANARY/"),
    url("SSRF: IPv6 any", "https://[::]:CANARY/"),
    url("SSRF: IPv4-mapped", "https://[::ffff:127.0.0.1]:CANARY/"),
    url("SSRF: IPv4-mapped in hexadecimal", "https://[::ffff:7f00:1]:CANARY/"),
    url("SSRF: IPv4-compatible", "https://[::127.0.0.1]:CANARY/"),
    url("SSRF: NAT64", "https://[64:ff9b::7f00:1]:CANARY/"),
    url("SSRF: a network's own NAT64", "https://[64:ff9b:1::7f00:1]:CANARY/"),
    url("SSRF: 6to4", "https://[2002:7f00:1::]:CANARY/"),
    url("SSRF: Teredo", "https://[2001:0:7f00:1::]:CANARY/"),
    url("SSRF: link-local with a zone", "https://[fe80::1%25lo]:CANARY/"),
    url("SSRF: unique local", "https://[fd00:ec2::254]:CANARY/"),
    url("SSRF: private network", "https://10.0.0.1:CANARY/"),
    url("SSRF: carrier's network", "https://100.64.0.1:CANARY/"),
    url("SSRF: metadata service", "https://169.254.169.254/latest/meta-data/"),
    url("SSRF: a cloud's host under a public address", "https://168.63.129.16/"),
    url("SSRF: multicast", "https://224.0.0.1:CANARY/"),
    url("SSRF: broadcast", "https://255.255.255.255:CANARY/"),
    url("SSRF: localhost", "https://localhost:CANARY/"),
    url("SSRF: localhost with a dot", "https://localhost.:CANARY/"),
    url("SSRF: localhost in capitals", "HTTPS://LOCALHOST:CANARY/"),
    url("SSRF: public name as a user", "https://public.test@127.0.0.1:CANARY/"),
    url("SSRF: public name as a password", "https://a:public.test@127.0.0.1:CANARY/"),
    url("SSRF: public name in the fragment", "https://127.0.0.1:CANARY#@public.test/"),
    url("SSRF: backslash before the at sign", "https://127.0.0.1:CANARY\\@public.test/"),
    url("SSRF: fullwidth digits", "https://１２７.０.０.１:CANARY/"),
    url("SSRF: circled letters", "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:CANARY/"),
    url("SSRF: ideographic full stops", "https://127。0。0。1:CANARY/"),
    url("SSRF: line breaks", "https://127.0.0.1:CANARY/\r\nX-Evil: 1"),
    url("SSRF: a blank in the host", "https://public.test 127.0.0.1:CANARY/"),
    url("SSRF: a tab in the scheme", "ht\ttps://127.0.0.1:CANARY/"),
    url("SSRF: file", "file:///etc/passwd"),
    url("SSRF: gopher", "gopher://127.0.0.1:CANARY/_GET"),
    url("SSRF: FFmpeg's protocols", "concat:/etc/passwd|https://127.0.0.1:CANARY/"),
    url("SSRF: a path", "/etc/passwd"),
    url("SSRF: no host", "https:///etc/passwd"),
    url("SSRF: a port that is none", "https://public.test:99999/"),
    url("SSRF: a name that is private as well", "https://mixed.test:CANARY/"),
    url("SSRF: a name that changes its mind", "https://rebinding.test:HOST/"),
)

CARRIED = (
    Case(
        "SSRF: in an object",
        '`input_reference` is `{"image_url": "https://127.0.0.1:CANARY/"}`',
        FIELD,
        lambda: post(input_reference={"image_url": "https://127.0.0.1:CANARY/"}),
        settings=ON,
    ),
    Case(
        "SSRF: deeper in an object",
        '`input_reference` is `{"image_url": {"url": ...}}`',
        FIELD,
        lambda: post(input_reference={"image_url": {"url": "https://127.0.0.1:CANARY/"}}),
        settings=ON,
    ),
    Case(
        "SSRF: in a form",
        "`input_reference` as a text of a form",
        FIELD,
        lambda: form(part("prompt", b"a box"), part("input_reference", b"https://127.0.0.1:CANARY/")),
        settings=ON,
    ),
    Case(
        "SSRF: in the NIM's words",
        "`image` of `/v1/infer`",
        FIELD,
        lambda: post("/v1/infer", image="https://127.0.0.1:CANARY/"),
        settings=ON,
    ),
    Case(
        "SSRF: where URLs are off",
        "`input_reference` is a public URL, with the default settings",
        FIELD,
        lambda: post(input_reference="https://public.test:HOST/"),
    ),
    Case(
        "SSRF: a URL of 100,000 characters",
        "`https://public.test/` and many `a`",
        FIELD,
        lambda: post(input_reference="https://public.test/" + "a" * 100_000),
        settings=ON,
    ),
    Case(
        "SSRF: webhook",
        "`webhook_url` where there is no dispatcher with a secret",
        FIELD,
        lambda: post(webhook_url="http://127.0.0.1:CANARY/"),
    ),
    Case(
        "SSRF: a playlist for a picture",
        "an upload that names a file and a URL as FFmpeg's playlists do",
        MEDIA,
        lambda: post(
            input_reference="data:video/mp4;base64,I0VYVE0zVQojRVhUSU5GOjEsCmZpbGU6Ly8vZXRjL3Bhc3N3ZAojRVhULVgtRU5ETElTVAo="
        ),
    ),
)

HOSTS = (
    answered("Fetch: redirect to loopback", "302 to `https://127.0.0.1:CANARY/`", to("https://127.0.0.1:CANARY/"), FIELD),
    answered("Fetch: redirect to http", "302 to `http://public.test/`", to("http://public.test/"), FIELD),
    answered("Fetch: redirect to a file", "302 to `file:///etc/passwd`", to("file:///etc/passwd"), FIELD),
    answered("Fetch: redirect to another spelling", "302 to `//2130706433:CANARY/`", to("//2130706433:CANARY/"), FIELD),
    answered("Fetch: redirect for ever", "302 to itself", to("/again"), MEDIA),
    answered("Fetch: a page", "200 with HTML", http("200 OK", b"<html>" + b" " * 99), MEDIA),
    answered(
        "Fetch: more than announced may be",
        "200, 3 MB where 1 MB are taken",
        http("200 OK", png(8, 8) + b"\0" * 3_000_000),
        "413 upload_too_large",
        max_upload_bytes=1_000_000,
    ),
    answered(
        "Fetch: packed",
        "200 with `Content-Encoding: gzip`",
        http("200 OK", b"\x1f\x8b" + b"\0" * 99, Content_Encoding="gzip"),
        MEDIA,
    ),
    answered("Fetch: less than announced", "200 that breaks off", http("200 OK", png(8, 8)[:40], length=9_999), MEDIA),
    answered("Fetch: no HTTP", "bytes", b"\0\xff" * 500, MEDIA),
    answered("Fetch: headers without end", "200 and 500,000 headers", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500_000, MEDIA),
)

CASES = (*SPELLINGS, *CARRIED, *HOSTS)
