"""One measurement: one contender, one repeat, start to exit; kept as one JSON file, so that a row can be resumed.

A file is found again only where it was measured by the same commands and threads on the same machine. Work of others on
the machine is looked for before and during it, and stored with it.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Any

from bench.environments import HERE, python_of
from bench.machine import ROOT, busy_seconds, cores_busy, machine, sources, versions
from bench.process import Failed, Ran, run
from bench.rows import EMBEDDED, Contender, Row, Visto

RUNS = HERE / "runs"
_BUSY = 0.5  # cores of others, above which a measurement is doubted


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What came of one repeat. ``parts`` are seconds: train and evaluate (where there is a judge, train and answer) for
    Visto, fit as a peer's script says it.

    ``others_before`` and ``others_during`` are cores that others kept busy, None where the system does not say.
    """

    row: str
    contender: str
    repeat: int
    steps: dict[str, str]
    threads: int
    machine: dict[str, Any]
    figure: float
    seconds: float
    parts: dict[str, float]
    peak_mib: float
    metrics: dict[str, Any]
    versions: dict[str, str]
    commit: str
    dirty: bool
    date: str
    load_average: float
    others_before: float | None
    others_during: float | None
    warnings: tuple[str, ...]


def path_of(row: Row, contender: Contender, repeat: int) -> Path:
    return RUNS / row.name / f"{contender.name}-{repeat}.json"


def steps_of(row: Row, contender: Contender, repeat: int, threads: int) -> dict[str, str]:
    """The commands, by the name of the step, with places left open: what a measurement is a measurement of."""
    judge, common = row.judge, f"--seed {repeat} --threads {threads}"
    judging = {"judge": f"$JUDGE bench/{judge.file} $VISTO_DATA/{judge.data} $ANSWERS"} if judge else {}
    if not isinstance(contender, Visto):
        out = ("-o", "$ANSWERS") if judge else ()
        return {"run": " ".join(["$PYTHON", f"bench/{contender.file}", *contender.arguments, *out, common]), **judging}
    data = contender.data if contender.data in EMBEDDED else f"$VISTO_DATA/{contender.data}"
    visto, options = "$PYTHON -m visto", " ".join(("", *contender.options))
    train = {"train": f"{visto} train {data} -o $BUNDLE{options} {common} --json"}
    if judge:
        answer = f"$PYTHON bench/{judge.answer} $BUNDLE {data} -o $ANSWERS --threads {threads}"
        return {**train, "answer": answer, **judging}
    return {**train, "evaluate": f"{visto} evaluate $BUNDLE {data} --threads {threads} --json"}


def found(row: Row, contender: Contender, repeat: int, threads: int) -> Measurement | None:
    """The stored measurement, if there is one of just this."""
    try:
        kept = Measurement(**json.loads(path_of(row, contender, repeat).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    same = kept.steps == steps_of(row, contender, repeat, threads) and kept.machine == machine()
    return kept if same else None


def measure(row: Row, contender: Contender, repeat: int, threads: int, data: Path) -> Measurement:
    """Run the contender, and keep what was found. Raises Failed."""
    path = path_of(row, contender, repeat)
    _clear(path)
    steps = steps_of(row, contender, repeat, threads)
    places = {
        "PYTHON": str(python_of(contender.environment)),
        "JUDGE": str(python_of("")),
        "BUNDLE": str(path.with_suffix(".visto")),
        "ANSWERS": str(path.with_suffix(".answers")),
        "VISTO_DATA": str(data),
    }
    before = cores_busy()
    warnings = _doubt("before", before, row, contender, repeat)
    load, (commit, dirty) = os.getloadavg()[0], sources()
    ran, during = _run_all(steps, places, threads, path)
    warnings += _doubt("during", during, row, contender, repeat)
    own = {name: part for name, part in ran.items() if name != "judge"}
    said = _said(ran, contender)
    measured = Measurement(
        row=row.name,
        contender=contender.name,
        repeat=repeat,
        steps=steps,
        threads=threads,
        machine=machine(),
        figure=_figure(said, row.metric, contender),
        seconds=sum(part.seconds for part in own.values()),
        parts=_parts(own, said),
        peak_mib=max(part.peak_mib for part in own.values()),
        metrics=said.get("metrics") or _metrics(row, said, contender),
        versions=said.get("versions") or versions(),
        commit=commit,
        dirty=dirty,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        load_average=round(load, 2),
        others_before=before,
        others_during=during,
        warnings=warnings,
    )
    write_json(path, asdict(measured))
    return measured


def _clear(path: Path) -> None:
    """Remove what a broken-off or other measurement left: nothing may be resumed that is timed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in (path, *(path.with_suffix(end) for end in (".visto", ".run", ".log", ".answers"))):
        shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)


def _run_all(
    steps: dict[str, str], places: dict[str, str], threads: int, path: Path
) -> tuple[dict[str, Ran], float | None]:
    """Run every step, and say how many cores others kept busy meanwhile. Threads and an empty cache for each alike."""
    busy, began = busy_seconds(), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="cache-", dir=path.parent) as cache:
        given = {"OMP_NUM_THREADS": str(threads), "VISTO_DATA": places["VISTO_DATA"], "VISTO_CACHE": cache}
        environment = {**os.environ, **given}
        log = path.with_suffix(".log")
        ran = {name: run(_words(text, places), environment, ROOT, log) for name, text in steps.items()}
    elapsed, after = time.perf_counter() - began, busy_seconds()
    if busy is None or after is None:
        return ran, None
    own = sum(part.processor_seconds for part in ran.values())
    return ran, round(max(0.0, (after - busy - own) / elapsed), 2)


def _words(text: str, places: dict[str, str]) -> list[str]:
    """A command with its places filled in; split first, so that a place may have spaces."""
    return [Template(word).substitute(places) for word in text.split()]


def _doubt(when: str, cores: float | None, row: Row, contender: Contender, repeat: int) -> tuple[str, ...]:
    """A warning, said and to be stored, where others use the machine."""
    if cores is None or cores <= _BUSY:
        return ()
    words = f"others kept {cores:.1f} cores busy {when} it"
    print(f"careful: {row.name} {contender.name} {repeat}: {words}", file=sys.stderr, flush=True)
    return (words,)


def _document(last: Ran, contender: Contender) -> dict[str, Any]:
    """The JSON document on the last line of stdout; a document over several lines is taken whole."""
    lines = last.out.strip().splitlines() or [""]
    for text in (lines[-1], last.out):
        try:
            document = json.loads(text)
        except ValueError:
            continue
        if isinstance(document, dict):
            return document
    raise Failed(f"{contender.name} printed no JSON document; its last line: {lines[-1]!r}")


def _said(ran: dict[str, Ran], contender: Contender) -> dict[str, Any]:
    """What the steps after training said, a later one before an earlier one."""
    documents = [_document(part, contender) for name, part in ran.items() if name != "train"]
    return {name: value for document in documents for name, value in document.items()}


def _metrics(row: Row, said: dict[str, Any], contender: Contender) -> dict[str, Any]:
    """The figures that the row asks for, and where it has a pace the learning curve."""
    asked = (row.metric, *row.also, *(("curve",) if row.pace else ()))
    if missing := [name for name in asked if name not in said]:
        raise Failed(f"{contender.name} says nothing of {', '.join(missing)}")
    return {name: said[name] for name in asked}


def _figure(said: dict[str, Any], metric: str, contender: Contender) -> float:
    figure = said.get("metrics", said).get(metric)
    value = figure.get("value") if isinstance(figure, dict) else figure
    if not isinstance(value, int | float):
        raise Failed(f"{contender.name} says nothing of {metric}")
    return float(value)


def _parts(ran: dict[str, Ran], said: dict[str, Any]) -> dict[str, float]:
    parts = {name: part.seconds for name, part in ran.items() if name != "run"}
    return {**parts, **({"fit": float(said["fit_seconds"])} if "fit_seconds" in said else {})}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Whole or not at all: a kill in the middle leaves the old file."""
    part = path.with_suffix(".tmp")
    part.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)
