"""The table for people (Markdown) and for programs (results/bench.json), from the measurements of each row."""

import json
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bench.claims import Summary, judge, summarise
from bench.environments import HERE
from bench.machine import machine, sources, versions
from bench.measure import Measurement, write_json
from bench.rows import Row

RESULTS = HERE / "results" / "bench.json"
_HEAD = (
    "| row | contender | metric | mean | median | range | seconds | of it training | times as fast | peak MiB | runs |"
)
Measured = Mapping[str, Sequence[Measurement]]  # by contender, in the order of the row; only those with any


def shown(rows: Mapping[str, tuple[Row, Measured]]) -> str:
    """Markdown: a line a contender, then every claim with its numbers, then what makes a figure doubtful."""
    lines, notes = [_HEAD, "|" + "---|" * (_HEAD.count("|") - 1)], []
    for row, measured in rows.values():
        found = {name: summarise(some) for name, some in measured.items()}
        lines += [_line(row, name, found) for name in found]
        notes += [f"- {row.name}: {words}" for words in further(row, measured)]
        notes += [f"- {row.name}: {judge(claim, row.metric, found)}" for claim in row.claims]
        notes += [f"- {row.name}: careful: {words}" for words in doubts(measured)]
    here, peers = (
        machine(),
        "Seconds are medians of whole processes, start to exit; peak MiB is of the largest process.",
    )
    where = f"{here['processor']}, {here['cores']} cores, {here['memory_gib']} GiB"
    return "\n".join([*lines, "", f"{where}. {peers}", "", *notes])


def _line(row: Row, name: str, found: Mapping[str, Summary]) -> str:
    own, first = found[name], next(iter(found.values()))
    low, high = min(own.figures), max(own.figures)
    if row.is_rate:
        figures = [f"{value:.0f}" for value in (own.figure("mean"), own.figure("median"), low, high)]
        ratio, times = own.figure("median") / first.figure("median"), ["", ""]
    else:
        figures = [f"{value:.4f}" for value in (own.figure("mean"), own.figure("median"), low, high)]
        ratio = statistics.median(first.seconds) / statistics.median(own.seconds)
        times = [f"{statistics.median(some):.1f}" for some in (own.seconds, own.first_part)]
    mean, median, *ends = figures
    faster = f"{ratio:.2f}" if len(row.contenders) > 1 and row.contenders[0].name in found else ""
    cells = [row.name, name, row.metric, mean, median, " to ".join(ends), *times, faster]
    return "| " + " | ".join([*cells, f"{own.peak_mib:.0f}", str(len(own.figures))]) + " |"


def further(row: Row, measured: Measured) -> list[str]:
    """The other figures of each contender (medians), and how soon each of the others was as good as the first ended."""
    said = []
    for name, some in measured.items():
        values = {also: statistics.median(one.metrics[also] for one in some) for also in row.also}
        if values:
            said.append(f"{name}: " + ", ".join(f"{also} {value:.4g}" for also, value in values.items()))
    first = row.contenders[0].name
    if not row.pace or first not in measured or len(measured) < 2:
        return said
    goal = statistics.median(one.metrics[row.pace] for one in measured[first])
    for name, some in list(measured.items())[1:]:
        reached = [reached_after(one, goal) for one in some]
        when = ", ".join("never" if seconds is None else f"after about {seconds:.0f} s" for seconds in reached)
        said.append(f"{name} reached the {row.pace} that {first} ended with, {goal:.4f}: {when}")
    return said


def reached_after(measurement: Measurement, goal: float) -> float | None:
    """Seconds of training until the curve first was at ``goal``; None where it never was.

    Taken as the share of its training time that it had of its epochs: what comes before and after them counts as if
    spread over them. The curve is by the contender's own judging, the goal by the judge's.
    """
    whole = measurement.parts.get("train", measurement.parts.get("fit", measurement.seconds))
    return next((share * whole for share, value in measurement.metrics["curve"] if value >= goal), None)


def doubts(measured: Measured) -> list[str]:
    """What a reader should know of measurements that were made otherwise than now, or beside other work."""
    every = [one for some in measured.values() for one in some]
    commit, _ = sources()
    old = sum(one.commit != commit for one in every)
    changed = sum(one.dirty for one in every)
    beside = sum(bool(one.warnings) for one in every)
    said = [
        (old, "not from the present commit"),
        (changed, "from sources with changes that are not committed"),
        (beside, "made while others used the machine"),
    ]
    return [f"{n} of {len(every)} measurements {words}" for n, words in said if n]


def document(row: Row, measured: Measured) -> dict[str, Any]:
    """All of a row as JSON values."""
    found = {name: summarise(some) for name, some in measured.items()}
    verdicts = [judge(claim, row.metric, found) for claim in row.claims]
    return {
        "row": row.name,
        "shows": row.shows,
        "metric": row.metric,
        "contenders": {name: _contender(row, measured[name], own) for name, own in found.items()},
        "claims": [{"met": verdict.met, "words": verdict.words} for verdict in verdicts],
        "careful": doubts(measured),
        **({"further": words} if (words := further(row, measured)) else {}),
    }


def _contender(row: Row, measured: Sequence[Measurement], own: Summary) -> dict[str, Any]:
    names = sorted({name for one in measured for name in one.parts})
    parts = {name: [round(one.parts[name], 2) for one in measured if name in one.parts] for name in names}
    said = [one.metrics[row.metric] for one in measured]
    also = {name: [one.metrics[name] for one in measured] for name in row.also}
    curves = {"curves": [one.metrics["curve"] for one in measured]} if row.pace else {}
    return {
        "mean": own.figure("mean"),
        "median": own.figure("median"),
        "figures": list(own.figures),
        "intervals": [[some["low"], some["high"]] for some in said if isinstance(some, dict)],
        **also,
        **curves,
        "median_seconds": round(statistics.median(own.seconds), 2),
        "seconds": [round(value, 2) for value in own.seconds],
        "parts": parts,
        "peak_mib": round(own.peak_mib),
        "steps": measured[0].steps,
        "threads": measured[0].threads,
        "machine": measured[0].machine,
        "versions": measured[-1].versions,
        "commits": sorted({one.commit + ("+changes" if one.dirty else "") for one in measured}),
        "dates": [one.date for one in measured],
        "warnings": [f"repeat {one.repeat}: {words}" for one in measured for words in one.warnings],
    }


def keep(row: Row, measured: Measured) -> None:
    """Write the row to the results; the other rows stay as they were."""
    try:
        rows = {one["row"]: one for one in json.loads(RESULTS.read_text("utf-8"))["rows"]}
    except (OSError, ValueError, KeyError, TypeError):
        rows = {}
    rows[row.name] = document(row, measured)
    commit, dirty = sources()
    RESULTS.parent.mkdir(exist_ok=True)
    head = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "versions": versions(),
        "commit": commit,
        "dirty": dirty,
    }
    write_json(RESULTS, {**head, "rows": list(rows.values())})
