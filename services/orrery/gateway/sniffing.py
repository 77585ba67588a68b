"""What bytes are, by what they begin with."""

from __future__ import annotations

from collections.abc import Callable

NOT_CLIPS = {b"avif", b"avis", b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"}
"""Brands of still images in the container that MP4 uses too."""

HEAD_BYTES = 16

SIGNATURES: dict[str, Callable[[bytes], bool]] = {
    "image/jpeg": lambda head: head.startswith(b"\xff\xd8\xff"),
    "image/png": lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"),
    "image/webp": lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP",
    "video/mp4": lambda head: head[4:8] == b"ftyp" and head[8:12] not in NOT_CLIPS,
}


def sniff(head: bytes) -> str | None:
    """The media type of a file that begins with `head` (`HEAD_BYTES` are enough); None if it is none of the known."""
    return next((media_type for media_type, fits in SIGNATURES.items() if fits(head)), None)
