"""What a ladder has decided so far, in ``ladder.json``: a run that was killed goes on with it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from visto.bundle import Bundle
from visto.errors import ModelError
from visto.evaluation import Evaluation
from visto.evaluation.judge import filled
from visto.files import write_json
from visto.metrics import paired
from visto.tasks import TASKS
from visto.types import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One rung: the monitored ``figure`` with its interval, what it cost, whether it is kept, and why in ``words``.

    ``difference`` is that of the figure to the best rung before it. A rung that was left out has words only.
    """

    name: str
    words: str
    kept: bool = False
    seconds: float = 0.0
    bytes: int = 0
    figure: str = ""
    value: Mapping[str, float | None] | None = None
    difference: Mapping[str, float | None] | None = None

    def line(self) -> str:
        if self.value is None:
            return f"{self.name}: {self.words}"
        size = f"{self.bytes / 1e6:.1f} MB" if self.bytes >= 1e5 else f"{self.bytes / 1e3:.1f} kB"
        return f"{self.name}: {self.figure} {Figure(**self.value)}, {self.seconds:.1f} s, {size}: {self.words}"  # type: ignore[arg-type]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Journal:
    """``plan`` has the rungs as JSON, ``wanted`` the seconds that the top one would take, ``rows`` what was decided."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self.path = path
        content = _read(path)
        self.plan: Sequence[Mapping[str, Any]] = content.get("plan", ())
        self.wanted = float(content.get("wanted", 0.0))
        self.rows = [Row(**row) for row in content.get("rows", ())]
        before = float(content.get("used", 0.0))
        # the seconds that earlier processes have used count too
        self.clock: Callable[[], float] = lambda: before + clock()

    def decided(self, name: str) -> Row | None:
        return next((row for row in self.rows if row.name == name), None)

    def decide_plan(self, plan: Sequence[Mapping[str, Any]], wanted: float) -> None:
        self.plan, self.wanted = plan, wanted
        self._write()

    def decide(self, row: Row) -> None:
        self.rows.append(row)
        self._write()

    def _write(self) -> None:
        write_json(
            self.path,
            {
                "used": round(self.clock(), 2),
                "plan": list(self.plan),
                "wanted": self.wanted,
                "rows": [row.to_json() for row in self.rows],
            },
        )


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return content
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}", hint="remove the .run folder to start anew") from error


def weighed(
    name: str, bundle: Bundle, judged: Evaluation, seconds: float, against: str, best: Evaluation | None
) -> Row:
    """The row of a rung: kept where its figure is surely better than that of the best so far, on the same images."""
    task = TASKS[judged.task](classes=judged.classes)
    figure, sense = task.monitor
    size = sum(tensor.nbytes for tensor in bundle.weights.values())
    known = {"name": name, "seconds": round(seconds, 2), "bytes": size, "figure": figure}
    value = judged.figures[figure].to_json()
    if best is None:
        return Row(**known, value=value, kept=True, words="what everything else has to beat")  # type: ignore[arg-type]
    difference = _difference(best, judged, figure)
    sign = 1 if sense == "max" else -1
    low, high = difference.low, difference.high
    ends = sorted((sign * low, sign * high)) if low is not None and high is not None else None
    by = f" ({difference.value:+.4f}, {low:+.4f} to {high:+.4f})" if ends else ""
    if ends and ends[0] > 0:
        words, kept = f"better than {against}{by}", True
    elif ends and ends[1] < 0:
        words, kept = f"worse than {against}{by}", False
    else:
        words, kept = f"not surely better than {against}{by}, which is cheaper", False
    return Row(**known, value=value, kept=kept, words=words, difference=difference.to_json())  # type: ignore[arg-type]


def _difference(first: Evaluation, second: Evaluation, figure: str) -> Figure:
    """The second's figure minus the first's."""
    task = TASKS[first.task](classes=first.classes)
    metrics = [
        [
            metric
            for metric in filled(task, each.answers, [item.target for item in each.pixels.items])
            if figure in metric.compute()
        ]
        for each in (first, second)
    ]
    groups = [item.group for item in first.pixels.items]
    both = paired(metrics[0], metrics[1], n=first.n, groups=groups if any(groups) else None)
    return both.difference[figure]
