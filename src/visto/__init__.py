"""Visto: from a folder of images to a recogniser you can trust, on the machine you have."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from visto.api import Model, compare, evaluate, export, load, read, train, tune, write_report

__all__ = ["Model", "compare", "evaluate", "export", "load", "read", "train", "tune", "write_report"]


def __getattr__(name: str) -> object:
    # torch costs over a second to import: the command's help must not wait for it
    if name in __all__:
        from visto import api

        return getattr(api, name)
    raise AttributeError(f"module 'visto' has no attribute {name!r}")
