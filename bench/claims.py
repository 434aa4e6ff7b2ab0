"""What the measurements of a row come to, and whether what was claimed holds. Numbers are always said with the answer.

The claim is judged on what there is; where a contender is missing it is not judged.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.measure import Measurement
from bench.rows import Average, Claim, Target, Versus


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The finished repeats of one contender, in their order."""

    figures: tuple[float, ...]
    seconds: tuple[float, ...]
    first_part: tuple[float, ...]  # train, or a peer's fit; the whole where it does not say
    peak_mib: float

    def figure(self, average: Average) -> float:
        return statistics.mean(self.figures) if average == "mean" else statistics.median(self.figures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``met`` is None where there was nothing to judge."""

    met: bool | None
    words: str

    def __str__(self) -> str:
        return f"{ {True: 'met', False: 'NOT MET', None: 'not judged'}[self.met] }: {self.words}"


def summarise(measured: Sequence[Measurement]) -> Summary:
    """Of at least one measurement."""
    firsts = (m.parts.get("train", m.parts.get("fit", m.seconds)) for m in measured)
    return Summary(
        figures=tuple(m.figure for m in measured),
        seconds=tuple(m.seconds for m in measured),
        first_part=tuple(firsts),
        peak_mib=max(m.peak_mib for m in measured),
    )


def judge(claim: Claim, metric: str, found: Mapping[str, Summary]) -> Verdict:
    """Whether the claim holds for the summaries, by contender.

    >>> fast = Summary(figures=(0.91, 0.93), seconds=(9.0, 11.0), first_part=(8.0, 10.0), peak_mib=500)
    >>> slow = Summary(figures=(0.91, 0.93), seconds=(60.0, 60.0), first_part=(50.0, 50.0), peak_mib=500)
    >>> print(judge(Target(least=0.92, within=9), "f1", {"visto": fast}))
    met: mean f1 of visto 0.9200, n = 2 (claimed ≥ 0.92); trained in 9.0 s (claimed ≤ 9 s; slowest 10.0 s)
    >>> print(judge(Versus(peer="slow", faster=10), "f1", {"visto": fast, "slow": slow}))
    NOT MET: visto takes 1/6.0 of slow's time (claimed ≤ 1/10); median f1 0.9200 against 0.9200 (claimed ≥ that)
    >>> judge(Versus(peer="slow", faster=10), "f1", {"visto": fast}).met is None
    True
    """
    if isinstance(claim, Target):
        return _reached(claim, metric, found.get(claim.of))
    return _ahead(claim, metric, found.get(claim.of), found.get(claim.peer))


def _reached(claim: Target, metric: str, own: Summary | None) -> Verdict:
    goal = f"{claim.average} {metric} of {claim.of}"
    if own is None:
        return Verdict(met=None, words=f"{goal} ≥ {claim.least:g}, trained in ≤ {claim.within:g} s")
    figure, seconds = own.figure(claim.average), statistics.median(own.first_part)
    return Verdict(
        met=figure >= claim.least and seconds <= claim.within,
        words=f"{goal} {figure:.4f}, n = {len(own.figures)} (claimed ≥ {claim.least:g}); "
        f"trained in {seconds:.1f} s (claimed ≤ {claim.within:g} s; slowest {max(own.first_part):.1f} s)",
    )


def _ahead(claim: Versus, metric: str, own: Summary | None, peer: Summary | None) -> Verdict:
    stretch = " [stretch]" if claim.stretch else ""
    allowed = f"≥ that less {claim.margin:g}" if claim.margin else "≥ that"
    if own is None or peer is None:
        goal = f"{claim.of} takes ≤ 1/{claim.faster:g} of {claim.peer}'s time; {claim.average} {metric} {allowed}"
        return Verdict(met=None, words=goal + stretch)
    times = statistics.median(peer.seconds) / statistics.median(own.seconds)
    ours, theirs = own.figure(claim.average), peer.figure(claim.average)
    return Verdict(
        met=times >= claim.faster and ours >= theirs - claim.margin,
        words=f"{claim.of} takes 1/{times:.1f} of {claim.peer}'s time (claimed ≤ 1/{claim.faster:g}); "
        f"{claim.average} {metric} {ours:.4f} against {theirs:.4f} (claimed {allowed}){stretch}",
    )
