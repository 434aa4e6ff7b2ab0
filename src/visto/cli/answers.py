"""Answers in words, and what of them is printed."""

from collections.abc import Sequence
from typing import Any

from visto.cli.terminal import Terminal, printable, show, show_json


def show_answer(id: str, content: dict[str, Any], at: dict[str, Any], top: int | None, as_json: bool) -> None:
    """One line: ``content`` is the task's, ``at`` says in JSON which frame it is of, and when (empty: none)."""
    words = cut(content, top)
    if as_json:
        show_json({"id": id, **at, **content})
    else:
        doubt = f"  (abstains: {content['reason']})" if content["abstain"] else ""
        show(printable(f"{id}  {words}") + doubt)


def cut(content: dict[str, Any], top: int | None) -> str:
    """Leave ``top`` answers in what is printed as JSON (None: one, or as many as labels), and put them into words."""
    answers = content["answers"]
    if any("box" in answer for answer in answers) or not answers:
        content["answers"] = answers[:top]
        return _words_of_boxes(content["answers"])
    if "labels" not in content:
        content["answers"] = answers[: top or 1]
        return _words(answers, top)
    given = len(content["labels"])
    content["answers"] = answers[: top or given]
    return _words_of_several(answers, given, top)


def _words_of_boxes(answers: Sequence[dict[str, Any]]) -> str:
    """
    >>> _words_of_boxes([{"label": "cat", "score": 0.98, "box": [3.0, 4.25, 80.0, 91.5]}])
    'cat 0.980 [3 4 80 92]'
    >>> _words_of_boxes([{"label": "cat", "score": 0.98, "box": [3.0, 4.25, 80.0, 91.5], "track": 7}])
    '#7 cat 0.980 [3 4 80 92]'
    >>> _words_of_boxes([])
    'nothing found'
    """
    said = []
    for answer in answers:
        number = f"#{answer['track']} " if "track" in answer else ""
        said.append(f"{number}{_words([answer], 1)} [{' '.join(f'{side:.0f}' for side in answer['box'])}]")
    return "  ".join(said) or "nothing found"


def _words(answers: Sequence[dict[str, Any]], top: int | None) -> str:
    return "  ".join(f"{a['label']} {a['score']:.3f}" for a in answers[: top or 1])


def _words_of_several(answers: Sequence[dict[str, Any]], given: int, top: int | None) -> str:
    """The labels it gives; with ``top`` the best so many, in brackets those that it does not give.

    >>> both = [{"label": "cat", "score": 0.98}, {"label": "dog", "score": 0.12}]
    >>> _words_of_several(both, 2, None), _words_of_several(both, 1, 2), _words_of_several(both[1:], 0, None)
    ('cat 0.980  dog 0.120', 'cat 0.980  (dog 0.120)', 'none (best: dog 0.120)')
    """
    if not given:
        return f"none (best: {_words(answers, top)})"
    named = [_words([a], 1) for a in answers[: top or given]]
    return "  ".join([*named[:given], *(f"({words})" for words in named[given:])])


def report(name: str, reason: str, *, as_json: bool) -> None:
    if as_json:
        show_json({"id": name, "error": reason})
    else:
        Terminal().say(f"{name}  error: {reason}")  # --quiet silences all but errors
