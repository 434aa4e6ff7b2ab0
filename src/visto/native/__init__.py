"""Loops in C for what torch's operations cannot do in one go, compiled on the user's machine where it has a compiler.

Each function on images gives None where it cannot be had, and its caller then does the same, to the bit, with torch.
Not so those of ``winograd`` and ``norm``, which have other bits: whether a run learns by them is stored.
"""

from visto.native.library import begin_building
from visto.native.pixels import enlarged, normalised, zoomed, zoomed_records

__all__ = ["begin_building", "enlarged", "normalised", "zoomed", "zoomed_records"]
