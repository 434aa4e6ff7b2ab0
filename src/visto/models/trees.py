"""A decision tree (Breiman et al. 1984) and a random forest (Breiman 2001) on features."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from visto.errors import UsageError
from visto.models.described import Described


class Trees(nn.Module):
    """Trees as flat tables of nodes: at node i one goes to ``left[i]`` where feature[i] ≤ threshold[i], else right.

    A leaf leads to itself, so that all images take ``depth`` steps; ``row[i]`` is its line in ``shares`` L×K, the
    shares of the classes among its training images. ``proba`` N×K is their mean over the trees. ``logits`` are the logs
    with a vote more, spread over all classes.
    """

    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    row: Tensor
    roots: Tensor
    shares: Tensor

    def __init__(self, described: Described, classes: int, *, nodes: int, leaves: int, trees: int, depth: int) -> None:
        super().__init__()
        self.described = described
        self.depth = depth
        whole = {"feature": nodes, "left": nodes, "right": nodes, "row": nodes, "roots": trees}
        for name, length in whole.items():
            self.register_buffer(name, torch.zeros(length, dtype=torch.int32))
        self.register_buffer("threshold", torch.zeros(nodes, dtype=torch.float64))
        self.register_buffer("shares", torch.full((leaves, classes), 1 / classes))

    def forward(self, images_nchw: Tensor) -> dict[str, Tensor]:
        return self.decide(self.described(images_nchw))

    def leaves_of(self, features_nd: Tensor) -> Tensor:
        """The leaf (a node's number) that each image comes to in each tree, N×T."""
        feature, left, right = self.feature.long(), self.left.long(), self.right.long()
        node = self.roots.long().expand(features_nd.shape[0], -1)  # len() would fix the batch of an exported graph
        for _ in range(self.depth):
            goes_left = features_nd.gather(1, feature[node]) <= self.threshold[node]
            node = torch.where(goes_left, left[node], right[node])
        return node

    def decide(self, features_nd: Tensor) -> dict[str, Tensor]:
        """What the trees say of features N×D."""
        proba = self.shares[self.row.long()[self.leaves_of(features_nd)]].mean(1)
        votes = max(5, len(self.roots))  # a single tree's leaf is seldom more than a handful of images
        return {"logits": ((votes * proba + 1 / proba.shape[1]) / (votes + 1)).log(), "proba": proba}


_STUMP = {"nodes": 1, "leaves": 1, "trees": 1, "depth": 1}


def tree(
    *,
    classes: int,
    channels: int,
    size: Sequence[int],
    features: Sequence[str] = ("raw",),
    depth: int = 0,
    leaf: int = 3,
    fitted: Mapping[str, int] | None = None,
) -> nn.Module:
    """One decision tree of at most ``depth`` questions (0: as many as it takes), ``leaf`` images at least in a leaf.

    ``fitted`` is what the data decided: nodes, leaves, trees and depth.
    """
    return _trees(classes, channels, size, features, fitted, depth=depth, leaf=leaf)


def forest(
    *,
    classes: int,
    channels: int,
    size: Sequence[int],
    features: Sequence[str] = ("raw",),
    trees: int = 100,
    depth: int = 0,
    leaf: int = 1,
    fitted: Mapping[str, int] | None = None,
) -> nn.Module:
    """A random forest of ``trees``, each at most ``depth`` questions deep (0: as many as it takes).

    Each is grown on images drawn anew, each question on a few features drawn anew; ``leaf`` images at least in a leaf.
    ``fitted`` is what the data decided: nodes, leaves, trees and depth.
    """
    if trees < 1:
        raise UsageError(f"a forest of {trees} trees", expected="1 or more")
    return _trees(classes, channels, size, features, fitted, depth=depth, leaf=leaf)


def _trees(
    classes: int,
    channels: int,
    size: Sequence[int],
    features: Sequence[str],
    fitted: Mapping[str, int] | None,
    *,
    depth: int,
    leaf: int,
) -> Trees:
    if depth < 0 or leaf < 1:
        raise UsageError(f"depth {depth} and {leaf} images a leaf", expected="0 or more, and 1 or more")
    described = Described(features, channels=channels, size=size, scaled=False, components=0)
    return Trees(described, classes, **{**_STUMP, **(fitted or {})})
