"""What belongs to the making of a bundle lies beside it: ``X.visto`` is made in ``X.run``."""

import contextlib
import glob
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from visto.bundle import check_outside
from visto.data.ledger import Entry
from visto.data.ledger import write as write_ledger
from visto.errors import ModelError, ResourceError, UsageError
from visto.files import as_resource_error, lock, write_bytes, write_json

_SETTINGS = {"recipe", "request", "fingerprint", "order", "threads", "processor"}


class RunFolder:
    """The folder of one run: ``run.json`` (what it was started with), ``state``, ``history.jsonl``, ``ledger.csv``.

    The runs that make the members of an ensemble, the rungs of a ladder or the points of a learning curve lie inside;
    ``root`` is the folder of the outermost run.
    """

    def __init__(self, bundle: Path, root: Path | None = None) -> None:
        self.bundle = bundle
        self.path = bundle.with_name(bundle.name.removesuffix(".visto") + ".run")
        self.root = root or self.path
        self.members = self.path / "members"
        self.curve = self.path / "curve"
        self.rungs = self.path / "rungs"
        self.ladder = self.path / "ladder.json"
        self.learning_curve = self.path / "learning-curve.json"
        self.tuning = self.path / "tuning"  # the last trainings of a tuning
        self.tuned = self.path / "tuning.json"
        self.study = self.path / "study.jsonl"
        self.state = self.path / "state"
        self.features = self.path / "features"
        self.stages = self.path / "stages"  # what each stage of a model that learns in stages has found
        self._settings = self.path / "run.json"

    def inside(self, place: Path, name: str) -> "RunFolder":
        """The folder of a run that serves this one: ``place`` is ``members``, ``rungs``, ``curve`` or ``tuning``."""
        return RunFolder(place / f"{name}.visto", self.root)

    def stage(self, name: str) -> Path:
        """Where a stage keeps something of that name."""
        self.stages.mkdir(parents=True, exist_ok=True)
        return self.stages / name

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder and hold it: one run at a time. Raises ResourceError."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise as_resource_error(error, self.path) from error
        with lock(self.path / "lock", busy=f"another run is working in {self.path}"):
            self._sweep()
            yield

    def _sweep(self) -> None:
        """Remove what a killed run had half written; we hold the lock, so nobody else is writing."""
        for part in (*self.path.glob(".*.part"), *self.path.parent.glob(f".{glob.escape(self.bundle.name)}.*.part")):
            if part.is_dir():
                shutil.rmtree(part, ignore_errors=True)
            else:
                part.unlink(missing_ok=True)

    @property
    def unfinished(self) -> bool:
        """Whether a run was started here and has not ended."""
        return self._settings.exists() and not self.bundle.exists() and not self.read_settings().get("ended", False)

    @property
    def unswept(self) -> bool:
        """Whether the run was killed after the bundle was written and before it was noted."""
        return self._settings.exists() and self.bundle.exists() and not self.read_settings().get("ended", False)

    @property
    def wants_curve(self) -> bool:
        """Whether the run was started with a learning curve, or one is begun."""
        asked = self._settings.exists() and self.read_settings()["request"].get("learning_curve", False)
        return bool(asked) or self.curve.exists()

    def check_no_bundle(self) -> None:
        """Raise UsageError where a bundle is there already, or around it: what is written is immutable."""
        check_outside(self.bundle)
        if self.bundle.exists() or self.bundle.is_symlink():
            raise UsageError(f"{self.bundle} exists already", hint="choose another name with -o, or remove it first")

    def check_no_run(self) -> None:
        """Raise UsageError where a run is that a new one would destroy. To be asked while held: it may be at work."""
        if self.unfinished:
            raise UsageError(
                f"{self.path} holds a run that has not ended",
                hint=f"go on with it: --resume; or remove {self.path} to start anew",
            )

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Keep what the run is started with; nothing of an earlier one that has ended may be taken for its own."""
        features = (self.features, self.features.with_name("features.json"))
        for path in (self.state, self.learning_curve, self.ladder, self.tuned, self.study, *features):
            self._remove(path)
        self.remove_folders(self.members, self.curve, self.rungs, self.tuning, self.stages)
        write_json(self._settings, settings)

    def read_settings(self) -> dict[str, Any]:
        """Raises ModelError where the file is not what was written."""
        try:
            content = json.loads(self._settings.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(f"{self._settings} cannot be read: {error}") from error
        if not isinstance(content, dict) or not content.keys() >= _SETTINGS:
            raise ModelError(f"{self._settings} is not what a run writes", hint=f"remove {self.path} to start anew")
        return content

    def write_history(self, rows: Sequence[Mapping[str, float]]) -> None:
        text = "".join(json.dumps(row) + "\n" for row in rows)
        write_bytes(self.path / "history.jsonl", text.encode())

    def read_history(self) -> list[dict[str, float]]:
        return [json.loads(row) for row in (self.path / "history.jsonl").read_text(encoding="utf-8").splitlines()]

    def write_ledger(self, entries: Sequence[Entry]) -> None:
        write_ledger(self.path / "ledger.csv", entries)

    def finish(self) -> None:
        """Note that the run has ended, and remove what nobody needs once the bundle stands."""
        write_json(self._settings, {**self.read_settings(), "ended": True})
        for path in (self.state, self.features, self.features.with_name("features.json")):
            self._remove(path)
        self.remove_folders(self.members, self.rungs, self.tuning, self.stages)

    def remove_folders(self, *paths: Path) -> None:
        """Remove folders with all that is in them, where they are there. Raises ResourceError."""
        for path in paths:
            try:
                shutil.rmtree(path)
            except FileNotFoundError:
                pass
            except OSError as error:
                raise ResourceError(f"cannot remove {path}: {error.strerror}") from error

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ResourceError(f"cannot remove {path}: {error.strerror}") from error
