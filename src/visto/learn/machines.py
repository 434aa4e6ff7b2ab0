"""The last stages of R-CNN: a linear machine a class by hard-negative mining, and where its boxes should move."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from visto.learn.randomness import generator
from visto.learn.regions import Regions
from visto.learn.solve import Job, Late, solve
from visto.ops.box_offsets import box_offsets

LENGTH = 20.0  # mean length of a description: what the paper brought it to, so that its C means the same
_C = 1e-3
_NOTHING = 0.3  # overlap with a class below which a region is an example of what the class is not
_TOGETHER = 8192  # descriptions in memory at once
_THINGS = 20_000  # of a class that a machine is shown
_FIRST = 3000  # such examples that a machine begins with
_MOST = 6000  # hard ones that are added at a time
_ROUNDS = 4
_NEVER = -100.0  # the score of a class that there is no example of
_MARGIN = -1.0  # the score above which an example of what a class is not is a hard one
_NEAR = 0.6  # overlap with a thing from which on a region teaches where to move
_RIDGE = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Weight D and bias of one class's score, how many examples it was fitted to, and how many rounds that took."""

    weight: Tensor
    bias: float
    things: int
    others: int
    rounds: int


def fit_machine(
    features_gd: Tensor, regions: Regions, label: int, *, seed: int, threads: int, folder: Path
) -> Generator[Machine | None, None, None]:
    """Yields None several times a second, then the machine of one class.

    The things themselves against regions that hardly overlap one of the class: first some, then those that the machine
    thinks are things, until hardly any are new (Felzenszwalb et al. 2010). A class without a training region never
    speaks up. ``folder`` is scratch. Raises ResourceError.
    """
    random = generator(seed, "machine", label)
    on = _some((regions.true & (regions.label == label)).nonzero().flatten(), _THINGS, random)
    off = ((regions.overlaps[:, label] < _NOTHING) & ~regions.true).nonzero().flatten()
    width = features_gd.shape[1]
    if not len(on) or not len(off):
        yield Machine(weight=torch.zeros(width), bias=_NEVER, things=len(on), others=0, rounds=0)
        return
    chosen = _some(off, _FIRST, random)
    job = Job(
        model="svm",
        options={"kernel": "linear", "C": _C, "class_weight": None, "seed": seed % 2**32, "gamma": 0.0},
        seconds=0,
        threads=threads,
    )
    for turn in range(1, _ROUNDS + 1):
        x = torch.cat([features_gd[on], features_gd[chosen]])
        y = torch.cat([torch.ones(len(on), dtype=torch.int64), torch.zeros(len(chosen), dtype=torch.int64)])
        found = None
        for now in solve(job, x, y, folder):
            if now is None:
                yield None
            found = now
        assert found is not None and not isinstance(found, Late)  # noqa: S101  (there is no limit)
        weight, bias = found.arrays["layer.weight"][1], float(found.arrays["layer.bias"][1])
        parts = []
        for rows in torch.split(off, _TOGETHER):
            parts.append(features_gd[rows] @ weight + bias)
            yield None
        scores = torch.cat(parts)
        hard = off[scores > _MARGIN]
        new = hard[~torch.isin(hard, chosen)]
        if turn == _ROUNDS or len(new) < max(10, len(chosen) // 100):
            break
        if len(new) > _MOST:
            best = scores[scores > _MARGIN][~torch.isin(hard, chosen)].topk(_MOST).indices
            new = new[best]
        chosen = torch.cat([chosen, new]).sort().values
    yield Machine(weight=weight, bias=bias, things=len(on), others=len(chosen), rounds=turn)


def fit_offsets(features_gd: Tensor, regions: Regions, label: int) -> tuple[Tensor, Tensor, int]:
    """How regions near a thing of one class should move, as a linear map of their description: 4×D, 4, of how many.

    Ridge regression of the offsets (Girshick et al. 2014, appendix C), with an intercept that is not held back.
    """
    near = ((regions.label == label) & (regions.overlap > _NEAR) & ~regions.true).nonzero().flatten()
    width = features_gd.shape[1]
    if not len(near):
        return torch.zeros(4, width), torch.zeros(4), 0
    goal = box_offsets(regions.thing[near], regions.box[near]).double()
    parts = torch.split(near, _TOGETHER)
    middle = torch.stack([features_gd[rows].double().sum(0) for rows in parts]).sum(0) / len(near)
    usual = goal.mean(0)
    table = torch.diag(torch.full((width,), _RIDGE, dtype=torch.float64))
    towards = torch.zeros(width, 4, dtype=torch.float64)
    for rows, goals in zip(parts, torch.split(goal - usual, _TOGETHER), strict=True):
        x = features_gd[rows].double() - middle
        table += x.T @ x
        towards += x.T @ goals
    weight = torch.linalg.solve(table, towards).T
    return weight.float(), (usual - weight @ middle).float(), len(near)


def _some(rows: Tensor, most: int, random: torch.Generator) -> Tensor:
    """At most so many of the rows, by chance, in their order."""
    return rows[torch.randperm(len(rows), generator=random)[:most]].sort().values
