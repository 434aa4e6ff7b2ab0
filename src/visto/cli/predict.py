"""``visto predict``"""

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from visto.cli.answers import report, show_answer
from visto.cli.foretelling import foretell_aloud
from visto.cli.options import AsJson, Debug, ModelPath, Quiet, Threads, TrustedKeys
from visto.cli.terminal import Terminal

if TYPE_CHECKING:
    from visto.prediction import Picture, Predicted, Recogniser, Source


def command(
    bundle: ModelPath,
    source: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE|DIR|VIDEO|SERIES|-",
            help="An image, a folder of images, a video, - for stdin; a clip, or some, for a model on clips; a series "
            "whose next steps to foretell.",
        ),
    ],
    top: Annotated[
        int | None,
        typer.Option(min=1, help="How many answers an image. Default: 1, or, of several labels, those it gives."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Abstain below this score; leave out labels and boxes below it. Default: the model's own.",
        ),
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(
            min=0.5,
            max=1,
            help="Abstain unless one class is left at this confidence; of a forecast: give bounds for it (0.9).",
        ),
    ] = None,
    track: Annotated[
        bool, typer.Option("--track", help="Give each thing one number through a video, or the images of a folder.")
    ] = False,
    streamed: Annotated[
        bool, typer.Option("--stream", help="Of a model on clips: an answer after every frame, while it is seen.")
    ] = False,
    proposals: Annotated[
        int | None,
        typer.Option(
            min=1, help="Of a model that looks twice (faster_rcnn, rcnn): so many of the regions it looks at, unnamed."
        ),
    ] = None,
    draw: Annotated[Path | None, typer.Option(metavar="DIR", help="Write each picture with its answer there.")] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Answer by torch in fp32, whatever visto bench found to be faster here.")
    ] = False,
    trusted_key: TrustedKeys = None,
    threads: Threads = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Say what is in an image, and where, if the model was trained on boxes; of a video, in each frame.

    One line an image or frame, as JSON with --json. A bad image is reported and does not stop the rest; the command
    then ends with exit code 3. A model on clips gives one answer a clip: a folder of frames, a file that moves.
    """
    import torch

    from visto import api
    from visto.bundle import Bundle, check_outside
    from visto.cli.sequences import Asked, answer_sequences
    from visto.errors import DataError
    from visto.prediction import Failed, Proposing, check_streams, follow, predict
    from visto.prediction.chosen import chosen

    voice = Terminal(quiet=quiet)
    if draw is not None:
        check_outside(draw / "any.png")
    if threads:
        torch.set_num_threads(threads)
    model = api.load(bundle, trusted=trusted_key or None)
    if model.recogniser.task.needs == "forecast":
        unsuited = {"--top": top is not None, "--threshold": threshold is not None, "--track": track}
        unsuited |= {"--proposals": proposals is not None, "--stream": streamed}
        foretell_aloud(
            model.recogniser, source, unsuited=unsuited, confidence=confidence, draw=draw, as_json=as_json, voice=voice
        )
        return 0
    if model.recogniser.task.sequences:
        _check_plain(track, proposals)
        asked = Asked(
            top=top, threshold=threshold, confidence=confidence, streamed=streamed, draw=draw, as_json=as_json
        )
        return answer_sequences(model.recogniser, source, asked, voice)
    if streamed:
        check_streams(model.recogniser)
    recogniser: Recogniser = model.recogniser if proposals is None else Proposing(model.recogniser, proposals)
    if proposals is None and not plain and isinstance(model.source, Bundle) and (way := chosen(model.source)):
        voice.say(f"answered by {way[0]}, as visto bench found fastest here")
        recogniser = way[1]
    _check_options(recogniser, track, confidence)
    given = _source(source)
    for entry in given.rejected:
        voice.say(f"{entry.id} passed over: {entry.reason}")
    if given.total == 0:
        raise DataError(f"no images in {source}", expected="an image, or a folder with images at any depth")
    many = torch.get_num_threads()
    if track:
        found = follow(recogniser, given.pictures, threshold=threshold, fps=given.fps, threads=many)
    else:
        found = predict(recogniser, given.pictures, threshold=threshold, confidence=confidence, threads=many)
    bad = 0
    # where both are one terminal, the lines themselves say how far it is
    for one in found if sys.stdout.isatty() else voice.progress(found, total=given.total or 0, words="looking"):
        if isinstance(one, Failed):
            bad += 1
            report(one.id, one.error.message, as_json=as_json)
            continue
        if draw is not None:
            _draw(draw / _picture_name(source, one.picture), one, recogniser)
        _show(one, recogniser, top, as_json)
    return 3 if bad else 0


def _check_plain(track: bool, proposals: int | None) -> None:
    from visto.errors import UsageError

    if track or proposals is not None:
        raise UsageError(f"{'--track' if track else '--proposals'} with a model on sequences", hint="leave it out")


def _check_options(recogniser: "Recogniser", track: bool, confidence: float | None) -> None:
    from visto.errors import UsageError
    from visto.prediction import check_followable

    if track:
        check_followable(recogniser)
        if confidence is not None:
            raise UsageError("--confidence with --track", hint="leave one of them out")


def _show(found: "Predicted", recogniser: "Recogniser", top: int | None, as_json: bool) -> None:
    content = dict[str, Any](recogniser.task.to_json(found.answer))
    if found.tracks is not None:
        pairs = zip(content["answers"], found.tracks.tolist(), strict=True)
        content["answers"] = [{**answer, "track": track} for answer, track in pairs]
    frame: dict[str, Any] = {}
    if found.picture.number is not None:
        frame = {"frame": found.picture.number, "seconds": round(found.picture.seconds or 0.0, 6)}
    show_answer(found.id, content, frame, top, as_json)


def _source(source: str) -> "Source":
    from visto.data.video import VIDEO_SUFFIXES
    from visto.prediction import Source, encoded, frames_of, images_at

    if source == "-":
        # drawing looks at it again
        return Source(pictures=iter([encoded("-", cache(sys.stdin.buffer.read))]), total=1)
    path = Path(source)
    if path.suffix.lower() in VIDEO_SUFFIXES and not path.is_dir():
        return frames_of(path, source)
    return images_at(path, source)


def _picture_name(source: str, picture: "Picture") -> str:
    """Folders below the source are kept, so that no picture takes another's place; frames are named by their number."""
    if source == "-":
        return "stdin.png"
    if picture.number is not None:
        return f"{picture.number:06d}.png"
    return f"{picture.id if Path(source).is_dir() else Path(picture.id).name}.png"


def _draw(path: Path, found: "Predicted", recogniser: "Recogniser") -> None:
    """Write the picture with its answer as PNG: what the model saw, enlarged to be readable; for boxes the original."""
    from visto.files import as_resource_error, write_bytes
    from visto.prediction import drawn

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise as_resource_error(error, path.parent) from error
    write_bytes(path, drawn(recogniser, found))
