"""A backbone: a classifier that can be cut in two, its lower part computed once, its upper part learnt."""

from collections import OrderedDict

from torch import Tensor, nn


class Backbone(nn.Module):
    """``stages`` lead from images N×C×H×W, one after the other, to an embedding N×D; ``classifier`` to the logits.

    Between any two stages there is one tensor, so ``stages[:k]`` may be frozen and its result kept. ``channels_last``
    and precision are the caller's business.
    """

    def __init__(self, stages: nn.Sequential, classifier: nn.Linear, dropout: float) -> None:
        super().__init__()
        self.stages: nn.Sequential = stages
        self.dropout = nn.Dropout(dropout)
        self.classifier: nn.Linear = classifier

    def part(self, start: int, stop: int | None = None) -> nn.Sequential:
        """Some of the stages, under the names that they have in the whole."""
        return nn.Sequential(OrderedDict(list(self.stages.named_children())[start:stop]))

    def forward(self, images_nchw: Tensor) -> dict[str, Tensor]:
        return {"logits": self.classifier(self.dropout(self.stages(images_nchw)))}


class Embed(nn.Module):
    """Global average pooling: N×C×H×W to N×C."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))
