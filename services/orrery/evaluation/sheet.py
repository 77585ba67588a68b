"""The contact sheet: what the clips look like, with their prompts and what is right about them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from orrery.evaluation.regions import Frames
from orrery.evaluation.running import STILLS, Result

_SIDE = 96
_GAP = 6
_VERDICTS = 108
"""Pixels beside the frames for the verdict's four lines."""
_LINE = 17
_WIDTH = STILLS * (_SIDE + _GAP) + _GAP + _VERDICTS
_INK, _GREEN, _RED = (30, 30, 34), (24, 140, 60), (200, 30, 40)


def contact_sheet(results: Sequence[Result]) -> Image.Image:
    """One row per clip: frames from its first to its last, the prompt underneath, a tick or a cross for each attribute."""
    rows = [_row(result) for result in results]
    sheet = Image.new("RGB", (_WIDTH, sum(row.height for row in rows)), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


def _row(result: Result) -> Image.Image:
    lines = _wrapped(result.prompt.text, _WIDTH - 2 * _GAP)
    row = Image.new("RGB", (_WIDTH, _SIDE + 3 * _GAP + _LINE * len(lines)), "white")
    draw = ImageDraw.Draw(row)
    _paste_stills(row, result.stills)
    for index, (name, right) in enumerate(result.verdict.right.items()):
        y = _GAP + index * (_LINE + _GAP)
        _mark(draw, _WIDTH - _VERDICTS + _GAP, y, right=right)
        draw.text((_WIDTH - _VERDICTS + _GAP + 20, y), name, fill=_INK, font=_font())
    for index, line in enumerate(lines):
        draw.text((_GAP, _SIDE + 2 * _GAP + index * _LINE), line, fill=_INK, font=_font())
    return row


def _paste_stills(row: Image.Image, stills: Frames) -> None:
    for index, still in enumerate(stills):
        row.paste(Image.fromarray(still), (_GAP + index * (_SIDE + _GAP), _GAP))


def _mark(draw: ImageDraw.ImageDraw, x: int, y: int, *, right: bool) -> None:
    if right:
        draw.line([(x + 2, y + 8), (x + 6, y + 13), (x + 13, y + 3)], fill=_GREEN, width=3)
    else:
        draw.line([(x + 2, y + 3), (x + 12, y + 13)], fill=_RED, width=3)
        draw.line([(x + 2, y + 13), (x + 12, y + 3)], fill=_RED, width=3)


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if _font().getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=13)
