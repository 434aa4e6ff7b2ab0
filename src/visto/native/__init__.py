"""Loops in C for what torch's operations cannot do in one go, compiled on the user's machine where it has a compiler.

Each function here gives None where it cannot be had, and its caller then does the same, to the bit, with torch. Not so
those of ``winograd`` and ``norm``, which have other bits: whether a run learns by them is stored.
"""

from visto.native.pixels import normalised, zoomed

__all__ = ["normalised", "zoomed"]
