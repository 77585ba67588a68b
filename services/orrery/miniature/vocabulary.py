"""What a scene can hold, by name, with what the names look like."""

from __future__ import annotations

from enum import StrEnum

FRAMES = 33
"""Of a clip; nine latent frames."""
FPS = 16
SIDE = 96
"""Height and width of a clip in pixels."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 35, 45),
    "orange": (250, 140, 20),
    "yellow": (250, 225, 40),
    "green": (40, 175, 70),
    "cyan": (60, 215, 225),
    "blue": (45, 75, 225),
    "purple": (150, 50, 200),
}
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "black": (12, 12, 14),
    "gray": (120, 120, 124),
    "white": (242, 242, 240),
    "brown": (96, 62, 40),
}
"""Both in 8-bit sRGB."""

SIZES: dict[str, float] = {"small": 8.5, "medium": 10.5, "large": 13.0}
"""Half the side of the square whose area an object has, in pixels."""


class Shape(StrEnum):
    CIRCLE = "circle"
    SQUARE = "square"
    TRIANGLE = "triangle"
    CROSS = "cross"


class Motion(StrEnum):
    RIGHT = "right"
    LEFT = "left"
    UP = "up"
    DOWN = "down"
    STILL = "still"
    CIRCLE = "circle"
    BOUNCE = "bounce"
    GROW = "grow"
