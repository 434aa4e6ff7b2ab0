"""The official test sets, by the plain commands that a user types: time of training, figure on test with its interval.

    make bench                  all rows (about half an hour on two cores)
    make bench ONLY=mnist       one row

Needs the real data of `make data`. Rows resume: a bundle that stands in bench/runs is judged, not trained again. Prints
a table and writes it with machine, versions and date to bench/results/official.json.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
# row: (data, metric, target, minutes of training allowed, seeds)
ROWS: dict[str, tuple[str, str, float, float, int]] = {
    "digits": ("digits", "accuracy", 0.98, 5, 5),
    "mnist": ("mnist", "accuracy", 0.994, 4, 1),
    "fashion-mnist": ("fashion-mnist", "accuracy", 0.93, 8, 1),
    "cifar-10": ("cifar-10-batches-bin", "accuracy", 0.88, 20, 1),
    "clothing": ("clothing", "accuracy", 0.89, 5, 5),
    "hymenoptera": ("hymenoptera", "accuracy", 0.94, 5, 5),
    "pneumoniamnist": ("pneumoniamnist", "auroc", 0.94, 5, 5),
}


def visto(*arguments: str) -> dict[str, object]:
    """Run a command with --json and give its document."""
    command = [sys.executable, "-m", "visto", *arguments, "--json"]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    document: dict[str, object] = json.loads(out)
    return document


def row(name: str, root: Path) -> dict[str, object]:
    """Train and judge every seed of a row."""
    data, metric, target, minutes, seeds = ROWS[name]
    path = data if name == "digits" else str(root / data)
    values, seconds, interval = [], [], {}
    for seed in range(seeds):
        bundle = HERE / "runs" / f"{name}-{seed}.visto"
        timing = bundle.with_suffix(".seconds")
        if not bundle.exists():
            began = time.perf_counter()
            visto("train", path, "-o", str(bundle), "--seed", str(seed), "--resume")
            timing.write_text(f"{time.perf_counter() - began:.1f}")
        found = visto("evaluate", str(bundle), path)
        interval = found["metrics"][metric]  # type: ignore[index]
        values.append(interval["value"])
        seconds.append(float(timing.read_text()))
    return {
        "row": name,
        "metric": metric,
        "mean": statistics.mean(values),
        "values": values,
        "interval_of_last": interval,
        "judged": found["n"],
        "target": target,
        "seconds": statistics.median(seconds),
        "allowed": 60 * minutes,
    }


def main() -> None:
    root = Path(os.environ.get("VISTO_DATA", ""))
    if not os.environ.get("VISTO_DATA"):
        sys.exit("VISTO_DATA is not set: run make data first, then make bench")
    names = sys.argv[1:] or list(ROWS)
    kept = HERE / "results" / "official.json"
    results = {r["row"]: r for r in json.loads(kept.read_text())["rows"]} if kept.exists() else {}
    for name in names:
        found = results[name] = row(name, root)
        print(
            f"{name:<16} {found['metric']:<9} {found['mean']:.4f} (target {found['target']})  "
            f"{found['seconds']:.0f} s from process start to bundle (allowed {found['allowed']:.0f})",
            flush=True,
        )
        document = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "versions": {name: version(name) for name in ("visto", "torch", "numpy")},
            "rows": list(results.values()),
        }
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
