"""A trained recogniser in the hand: what the public functions give, and take."""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from visto.bundle import (
    Bundle,
    Exported,
    check_outside,
    is_export,
    looked_over,
    read_bundle,
    read_exported,
    sealed_at,
    trusted_keys,
)
from visto.data.content import read_content
from visto.errors import DataError, ModelError, UsageError
from visto.files import new_folder
from visto.prediction import (
    Course,
    Predicted,
    Streamed,
    Unanswered,
    answer_courses,
    check_streams,
    course_of,
    courses_at,
    encoded,
    foretell,
    recogniser_of,
)
from visto.prediction import predict as _predict
from visto.prediction import stream as _stream
from visto.report import read_learning_curve, read_tuning
from visto.types import Answer


class Model:
    """A trained recogniser: a bundle, or a file that was exported from one. ``path`` is where it lies."""

    def __init__(self, source: Bundle | Exported) -> None:
        self.source = source
        self.recogniser = recogniser_of(source)
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    @property
    def bundle(self) -> Bundle:
        """Raises ModelError for an exported file: it answers and is judged, but is no bundle."""
        if isinstance(self.source, Exported):
            raise ModelError(f"{self.path} is an exported file", expected="the bundle that it was made from")
        return self.source

    @property
    def path(self) -> Path:
        return self.source.path

    @property
    def classes(self) -> tuple[str, ...]:
        return self.source.manifest.classes

    @property
    def learning_curve(self) -> Mapping[str, Any] | None:
        """Points, forecast and words, where it was trained with one and its run still lies beside it."""
        return read_learning_curve(self.path)

    @property
    def tuning(self) -> Mapping[str, Any] | None:
        """Choices, trials, importance and comparison, where it was tuned and its run still lies beside it."""
        return read_tuning(self.path)

    def predict(
        self,
        image: str | Path | bytes | Iterable[Any],
        *,
        threshold: float | None = None,
        confidence: float | None = None,
    ) -> Answer[Any]:
        """The answer for one image (a path or an encoded image), of a model on sequences for one sequence.

        That is the path of a clip, or its steps as arrays (see ``stream``); or, to foretell it, the path of a series.
        Raises DataError where it cannot be read.
        """
        if self.recogniser.task.needs == "forecast" and isinstance(image, str | Path):
            return foretell(self.recogniser, Path(image), confidence=confidence).answer
        if self.recogniser.task.sequences:
            one = [self._course(image)]
            (answered,) = answer_courses(self.recogniser, one, threshold=threshold, confidence=confidence)
            if isinstance(answered, Unanswered):
                raise answered.error
            return answered.answer
        if not isinstance(image, str | Path | bytes):
            raise UsageError(f"an image as {type(image).__name__}", expected="a path, or the bytes of an image file")
        content: Callable[[], bytes] = (
            (lambda: image) if isinstance(image, bytes) else partial(read_content, Path(image))
        )
        name = "the image" if isinstance(image, bytes) else str(image)
        (found,) = _predict(self.recogniser, [encoded(name, content)], threshold=threshold, confidence=confidence)
        if isinstance(found, Predicted):
            return found.answer
        error = found.error
        raise DataError(f"{name}: {error.message}", expected=error.expected, hint=error.hint) from error

    def stream(
        self, frames: str | Path | Iterable[Any], *, threshold: float | None = None, confidence: float | None = None
    ) -> Iterator[Streamed]:
        """An answer after every step of one sequence, as it comes; what is held of it does not grow.

        ``frames`` is the path of a clip, or any iterable of arrays: frames uint8 H×W (grey) or H×W×3 (RGB), or of a
        series the numbers of each step. Raises UsageError for a model on images, and for one that must see the end
        first; DataError for a step that cannot be read.
        """
        check_streams(self.recogniser)
        return self._streamed(self._course(frames), threshold, confidence)

    def _streamed(self, course: Course, threshold: float | None, confidence: float | None) -> Iterator[Streamed]:
        for found in _stream(self.recogniser, course, threshold=threshold, confidence=confidence):
            if isinstance(found, DataError):
                raise found
            yield found

    def _course(self, given: str | Path | bytes | Iterable[Any]) -> Course:
        if isinstance(given, bytes):
            raise UsageError("a sequence as bytes", expected="the path of a clip, or its steps as arrays")
        if not isinstance(given, str | Path):
            return course_of(given)
        courses = courses_at(Path(given), str(given), self.recogniser.fit)
        if len(courses.found) != 1:
            raise DataError(f"{given} holds {len(courses.found)} sequences", expected="one")
        return courses.found[0]

    def save(self, path: str | Path) -> Path:
        """Copy the bundle to ``path``, which must not exist, with its signature.

        Raises ModelError for an exported file, and where it is not what was loaded any more; UsageError, ResourceError.
        """
        if isinstance(self.source, Exported):
            together = ", ".join(sorted(sealed_at(self.path).names))
            raise ModelError(
                f"{self.path} is an exported file, which is not saved again",
                expected="a bundle",
                hint=f"copy its files together, under their own names: {together}",
            )
        check_outside(Path(path))
        whole = looked_over(self.path)
        if self.source.digest not in whole.digests.values():
            raise ModelError(f"{self.path} is not what was loaded from it any more", hint="load it again")
        signature = [whole.sealed.signature.name] if whole.sealed.signature.exists() else []
        with new_folder(Path(path)) as folder:
            for name in (*whole.digests, *signature):
                shutil.copyfile(self.path / name, folder / name)
        return Path(path)


def load(path: str | Path, *, trusted: Sequence[str | Path] | None = None) -> Model:
    """Read a bundle or an exported file (``.onnx``), every hash checked. Raises ModelError.

    ``trusted`` are files with public keys, by one of which it must have been signed; None: those that the environment
    variable VISTO_TRUSTED_KEYS names, if it is set. Raises UsageError for a file that is no such key.
    """
    path, keys = Path(path), trusted_keys(None if trusted is None else [Path(key) for key in trusted])
    return Model(read_exported(path, keys) if is_export(path) else read_bundle(path, keys))
