"""Support vector machines (Cortes & Vapnik 1995) on features: linear, or with the Gaussian kernel (rbf)."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visto.errors import UsageError
from visto.models.described import Described
from visto.models.logistic import Linear

KERNELS = ("rbf", "linear")
# what a margin is worth in log-odds before calibration: Platt's sigmoid (1999) fitted to margins has about this slope
_SLOPE = 2.0


class KernelSVM(nn.Module):
    """One machine for each pair of classes on shared support vectors: M×D, weighed for each of P pairs.

    ``decision`` N×P is positive where the first class of a pair is likelier; pairs go (0, 1), (0, 2), …, (1, 2), ….
    ``logits`` N×K are the log of the product of all that speaks for a class (Price et al. 1994).
    """

    holds_training_data = True
    vectors: Tensor
    weights: Tensor
    bias: Tensor
    gamma: Tensor
    first: Tensor
    second: Tensor

    def __init__(self, described: Described, classes: int, vectors: int) -> None:
        super().__init__()
        self.described = described
        pairs = list(combinations(range(classes), 2))
        self.register_buffer("vectors", torch.zeros(vectors, described.dimensions))
        self.register_buffer("weights", torch.zeros(vectors, len(pairs), dtype=torch.float64))
        self.register_buffer("bias", torch.zeros(len(pairs), dtype=torch.float64))
        self.register_buffer("gamma", torch.ones((), dtype=torch.float64))
        self.register_buffer("first", F.one_hot(torch.tensor([i for i, _ in pairs]), classes).float(), persistent=False)
        self.register_buffer(
            "second", F.one_hot(torch.tensor([j for _, j in pairs]), classes).float(), persistent=False
        )

    def forward(self, images_nchw: Tensor) -> dict[str, Tensor]:
        return self.decide(self.described(images_nchw))

    def decide(self, features_nd: Tensor) -> dict[str, Tensor]:
        """What the machines say of features N×D."""
        # in double: thousands of weights of up to C nearly cancel, which in fp32 costs all digits but three
        vectors, features = self.vectors.double(), features_nd.double()
        squares = vectors.square().sum(1) + features.square().sum(1, keepdim=True)
        distances = torch.addmm(squares, features, vectors.T, alpha=-2).clamp_min_(0)
        decision = (distances.mul_(-self.gamma).exp_() @ self.weights + self.bias).float()
        odds = decision * _SLOPE
        return {"logits": F.logsigmoid(odds) @ self.first + F.logsigmoid(-odds) @ self.second, "decision": decision}


def svm(
    *,
    classes: int,
    channels: int,
    size: Sequence[int],
    features: Sequence[str] = ("raw",),
    components: int = 128,
    kernel: str = "rbf",
    C: float = 10.0,
    gamma: float = 0.0,
    fitted: Mapping[str, int] | None = None,
) -> nn.Module:
    """Support vector machines: ``kernel`` rbf (one a pair of classes) or linear (one a class, as LinearSVC).

    ``C`` is the cost of an error, ``gamma`` the inverse width of the Gaussian (0: 1 / the variance of all features).
    ``components`` main axes of the features are kept (0: all). ``fitted`` is what the data decided: ``vectors``.
    """
    if kernel not in KERNELS:
        raise UsageError(f"no kernel {kernel!r}", expected=f"one of {', '.join(KERNELS)}")
    described = Described(features, channels=channels, size=size, scaled=True, components=components)
    if kernel == "linear":
        return Linear(described, classes)
    return KernelSVM(described, classes, (fitted or {}).get("vectors", 4))
