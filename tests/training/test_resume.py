"""A run that cannot be gone on with says so before the long reading."""

import json
from pathlib import Path

import pytest

import visto
from visto.errors import Interrupted, ResourceError
from visto.training import RunFolder
from visto.types import Silent


class Stopping(Silent):
    def progress(self, items, *, total, words):  # type: ignore[no-untyped-def]
        for count, item in enumerate(items):
            if words == "learning" and count == 3:
                raise Interrupted("stopped")
            yield item


@pytest.fixture
def stopped(tmp_path: Path) -> RunFolder:
    with pytest.raises(Interrupted):
        visto.train("digits", tmp_path / "a.visto", model="mlp", threads=1, voice=Stopping())
    return RunFolder(tmp_path / "a.visto")


def edited(folder: RunFolder, **changes: object) -> None:
    path = folder.path / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def resume(folder: RunFolder) -> None:
    visto.train("digits", folder.bundle, resume=True, threads=1)


def test_the_state_of_another_version(stopped: RunFolder) -> None:
    edited(stopped, state=1)
    with pytest.raises(ResourceError, match="another version of Visto"):
        resume(stopped)


def test_a_device_that_is_gone(stopped: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    edited(stopped, recipe={**stopped.read_settings()["recipe"], "device": "cuda"})
    with pytest.raises(ResourceError, match="no CUDA device"):
        resume(stopped)
