"""Measure rows of ``bench/rows.py`` and print one table; what is finished is kept, and not measured again.

    make bench                                        every row: hours
    make bench ONLY="digits loader"                   these
    make bench ONLY=digits OPTIONS=--fresh            from the beginning
    make bench ONLY=clothing-transfer OPTIONS="--peer-repeats 5"

Needs the real data of ``make data``, and takes the published weights there where VISTO_WEIGHTS names no other folder.
The table goes to stdout, progress to stderr, all figures to ``bench/results/bench.json``.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from bench.environments import python_of
from bench.machine import cores
from bench.measure import RUNS, Measurement, found, measure
from bench.process import Failed
from bench.rows import EMBEDDED, ROWS, Contender, Row, Visto
from bench.table import Measured, keep, shown


def main() -> int:
    """Measure, print, and give the exit code: 1 where a contender failed."""
    asked = options()
    rows, data = [ROWS[name] for name in asked.rows or ROWS], data_folder()
    os.environ.setdefault("VISTO_WEIGHTS", str(data / "weights"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as an exception, so that contenders are ended too
    done: dict[str, tuple[Row, Measured]] = {}
    failed = False
    for row in rows:
        if asked.fresh:
            shutil.rmtree(RUNS / row.name, ignore_errors=True)
        measured: dict[str, list[Measurement]] = {contender.name: [] for contender in row.contenders}
        try:
            take_turns(row, asked, data, measured)
        except (Failed, subprocess.CalledProcessError) as error:
            print(f"{row.name}: {error}", file=sys.stderr, flush=True)
            failed = True
        if any(measured.values()):  # where one failed, what was measured before it is shown all the same
            done[row.name] = (row, {name: some for name, some in measured.items() if some})
            keep(*done[row.name])
    print(shown(done))
    return int(failed)


def options() -> argparse.Namespace:
    """The command line; ends with 2 and a line that says why where it cannot be followed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Visto side by side with its peers.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"some of {', '.join(ROWS)}; all where none is named")
    parser.add_argument("--fresh", action="store_true", help="remove what was measured of these rows before")
    parser.add_argument("--repeats", type=int, help="how often, instead of what each row says")
    parser.add_argument("--peer-repeats", type=int, help="how often for those in an environment of their own")
    parser.add_argument("--threads", type=int, default=cores(), help="for every contender; all cores unless given")
    asked = parser.parse_args()
    if unknown := [name for name in asked.rows if name not in ROWS]:
        parser.error(f"no row {', '.join(unknown)}; expected some of {', '.join(ROWS)}")
    if min(n for n in (asked.repeats, asked.peer_repeats, asked.threads, 1) if n is not None) < 1:
        parser.error("repeats and threads are 1 or more")
    return asked


def data_folder() -> Path:
    """The folder of the real data; ends with a line that says what to do where there is none."""
    named = os.environ.get("VISTO_DATA")
    if not named:
        sys.exit("VISTO_DATA is not set: run make data first, then make bench")
    if not Path(named).is_dir():
        sys.exit(f"VISTO_DATA is {named}, which is no folder: run make data first, then make bench")
    return Path(named).resolve()


def take_turns(row: Row, asked: argparse.Namespace, data: Path, measured: dict[str, list[Measurement]]) -> None:
    """Add all repeats of a row, contenders taking turns; what is there already is not run again. Raises Failed."""
    for contender in row.contenders:
        if isinstance(contender, Visto) and contender.data not in EMBEDDED and not (data / contender.data).is_dir():
            raise Failed(f"no folder {contender.data} in VISTO_DATA")
        needed = contender.weights if isinstance(contender, Visto) else ""
        if needed and not (Path(os.environ["VISTO_WEIGHTS"]) / needed).is_file():
            raise Failed(f"no {needed} in VISTO_WEIGHTS, which is {os.environ['VISTO_WEIGHTS']}")
        python_of(contender.environment)  # made before the first turn, not between two
    turns = {contender.name: repeats(row, contender, asked) for contender in row.contenders}
    for repeat in range(1, max(turns.values()) + 1):
        for contender in row.contenders:
            if repeat <= turns[contender.name]:
                measured[contender.name].append(one(row, contender, repeat, asked.threads, data))


def repeats(row: Row, contender: Contender, asked: argparse.Namespace) -> int:
    """How often this contender runs, by the command line, its own word, or the row's."""
    given = asked.peer_repeats if contender.environment else None
    return given or asked.repeats or contender.repeats or row.repeats


def one(row: Row, contender: Contender, repeat: int, threads: int, data: Path) -> Measurement:
    """One repeat, measured now or before."""
    kept = found(row, contender, repeat, threads)
    if kept is None:
        print(f"{row.name:<18} {contender.name:<10} {repeat}  …", file=sys.stderr, flush=True)
    result = kept or measure(row, contender, repeat, threads, data)
    told = [f"{name} {seconds:.1f}" for name, seconds in result.parts.items()]
    told += ["measured before"] if kept else [f"{result.peak_mib:.0f} MiB"]
    figure = f"{row.metric} {result.figure:.4f}" if not row.is_rate else f"{result.figure:.0f} images a second"
    print(
        f"{row.name:<18} {contender.name:<10} {repeat}  {result.seconds:8.1f} s  {figure}  ({', '.join(told)})",
        file=sys.stderr,
        flush=True,
    )
    return result


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("stopped; what is finished is kept, and the same command goes on", file=sys.stderr)
        sys.exit(130)
