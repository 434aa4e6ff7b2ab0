"""``visto predict`` of a model that foretells a series."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visto.cli.terminal import Terminal, printable, show, show_json, table
from visto.errors import UsageError

if TYPE_CHECKING:
    from visto.prediction import Recogniser


def foretell_aloud(
    recogniser: "Recogniser",
    source: str,
    *,
    unsuited: Mapping[str, bool],
    confidence: float | None,
    draw: Path | None,
    as_json: bool,
    voice: Terminal,
) -> None:
    """Print what comes after the last row of the file ``source``; ``unsuited`` names options, and which were given."""
    from visto.files import as_resource_error, write_bytes
    from visto.prediction.series import foretell

    if odd := [name for name, given in unsuited.items() if given]:
        raise UsageError(f"{odd[0]} with a model that foretells a series", hint="leave it out")
    found = foretell(recogniser, Path(source), confidence=confidence)
    if found.note:
        voice.say(f"careful: {found.note}")
    content = dict[str, Any](recogniser.task.to_json(found.answer))
    if draw is not None:
        path = draw / f"{Path(source).name}.png"
        try:
            draw.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise as_resource_error(error, draw) from error
        write_bytes(path, recogniser.task.draw(found.seen, found.answer))
    if as_json:
        show_json({"id": found.id, **content})
        return
    answers: Sequence[Mapping[str, Any]] = content["answers"]
    show(printable(found.id))
    show(table([_head(content), *map(_row, answers)], indent="  "))


def _head(content: Mapping[str, Any]) -> tuple[str, ...]:
    bounds = (f"low ({content['confidence']:g})", "high") if "confidence" in content else ()
    return ("ahead", "column", "value", *bounds)


def _row(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """
    >>> _row({"step": 1, "column": "sales", "value": 12.34567, "low": 11.0, "high": 13.5})
    ('1', 'sales', '12.3457', '11', '13.5')
    """
    bounds = (f"{answer['low']:.6g}", f"{answer['high']:.6g}") if "low" in answer else ()
    return (str(answer["step"]), answer["column"], f"{answer['value']:.6g}", *bounds)
