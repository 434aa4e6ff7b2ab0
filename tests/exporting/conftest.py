"""What the tests of exports share."""

from collections.abc import Callable

import pytest
from onnx import ModelProto

from visto.exporting import graph
from visto.preprocess import Fit

Key = tuple[object, str, bool]


@pytest.fixture(scope="session")
def entries() -> dict[Key, bytes]:
    """Every way from an image to a model's size that was exported so far."""
    return {}


@pytest.fixture(autouse=True)
def entries_once(entries: dict[Key, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry of a graph depends on the fit alone and takes seconds: of each kind it is exported once."""
    export: Callable[[Fit, bool], ModelProto] = graph._fitting

    def once(fit: Fit, single: bool) -> ModelProto:
        key = (vars(graph)["Entry"], fit.key, single)  # some tests put another one there
        if key not in entries:
            entries[key] = export(fit, single).SerializeToString()
        found = ModelProto()
        found.ParseFromString(entries[key])
        return found

    monkeypatch.setattr(graph, "_fitting", once)
