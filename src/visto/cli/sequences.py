"""``visto predict`` with a model on sequences: an answer a clip or series, or one after every step of it."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visto.cli.answers import report, show_answer
from visto.cli.terminal import Terminal

if TYPE_CHECKING:
    from visto.prediction import Answered, Course, Recogniser


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options of ``visto predict`` that count for sequences."""

    top: int | None
    threshold: float | None
    confidence: float | None
    streamed: bool
    draw: Path | None
    as_json: bool


def answer_sequences(recogniser: "Recogniser", source: str, asked: Asked, voice: Terminal) -> int:
    """Answer all that ``source`` holds; 3 where some of it could not be read. Raises as ``visto predict`` does."""
    from visto.errors import DataError, UsageError
    from visto.prediction import Answered, answer_courses, check_streams, courses_at

    if source == "-":
        raise UsageError("a sequence from stdin", expected="a path")
    if asked.draw is not None and (asked.streamed or not recogniser.fit.every):
        words = "--stream" if asked.streamed else "a model on series of numbers"
        raise UsageError(f"--draw with {words}", expected="a model on clips, without --stream", hint="leave it out")
    if asked.streamed:
        check_streams(recogniser)
    given = courses_at(Path(source), source, recogniser.fit)
    for entry in given.ledger:
        voice.say(
            f"{entry.id} {'' if entry.status == 'repaired' else 'passed over'}: {entry.reason}".replace(" :", ":")
        )
    if not given.found:
        raise DataError(f"no sequences in {source}", expected="a clip or series, or a folder of clips")
    if asked.streamed:
        return 3 if sum(not _streamed(recogniser, course, asked, voice) for course in given.found) else 0
    found = answer_courses(recogniser, given.found, threshold=asked.threshold, confidence=asked.confidence)
    bad = 0
    for one in found if sys.stdout.isatty() else voice.progress(found, total=len(given.found), words="looking"):
        if not isinstance(one, Answered):
            bad += 1
            report(one.id, one.error.message, as_json=asked.as_json)
            continue
        for note in one.notes:
            voice.say(f"{one.id}: {note}")
        if asked.draw is not None:
            _draw(asked.draw, source, one, recogniser)
        show_answer(one.id, dict(recogniser.task.to_json(one.answer)), {}, asked.top, asked.as_json)
    return 3 if bad else 0


def _streamed(recogniser: "Recogniser", course: "Course", asked: Asked, voice: Terminal) -> bool:
    """Print an answer after each step; whether the sequence could be read."""
    from visto.errors import DataError
    from visto.prediction import stream

    try:
        for one in stream(recogniser, course, threshold=asked.threshold, confidence=asked.confidence):
            if isinstance(one, DataError):
                voice.say(f"{course.id}: left out: {one.message}")
                continue
            at: dict[str, Any] = {"frame": one.number}
            if one.seconds is not None:
                at["seconds"] = round(one.seconds, 6)
            name = course.id if asked.as_json else f"{course.id}#{one.number}"
            show_answer(name, dict(recogniser.task.to_json(one.answer)), at, asked.top, asked.as_json)
    except DataError as error:
        report(course.id, error.message, as_json=asked.as_json)
        return False
    return True


def _draw(folder: Path, source: str, found: "Answered", recogniser: "Recogniser") -> None:
    """Write some of the clip's frames, as the model saw them, in a row with the answer below, as PNG."""
    from visto.files import as_resource_error, write_bytes
    from visto.ops.picture import film_strip

    path = folder / f"{Path(source).name or 'clip' if found.id == source else found.id}.png"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise as_resource_error(error, path.parent) from error
    write_bytes(path, recogniser.task.draw(film_strip(found.steps), found.answer))
