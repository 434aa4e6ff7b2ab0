"""What the docstrings show is so."""

import doctest
import importlib
import pkgutil

import pytest

import visto

MODULES = sorted(
    found.name for found in pkgutil.walk_packages(visto.__path__, "visto.") if found.name != "visto.__main__"
)


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert not result.failed


def test_there_are_some() -> None:
    modules = (importlib.import_module(name) for name in MODULES)
    assert sum(len([t for t in doctest.DocTestFinder().find(m) if t.examples]) for m in modules) > 20
