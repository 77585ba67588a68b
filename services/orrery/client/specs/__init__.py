"""NVIDIA's own input files, read as their scripts read them."""

from orrery.client.specs.formats import Wanted
from orrery.client.specs.reading import read_specs

__all__ = ["Wanted", "read_specs"]
