"""The head of a one-stage detector: from what it says of every place to the boxes that it stands by."""

from collections.abc import Mapping

from torch import Tensor, nn

from visto.ops.nms import nms


class BoxHead(nn.Module):
    """From ``boxes`` N×A×4, class ``logits`` N×A×K and ``objectness`` N×A to the best boxes, doubles taken out.

    ``boxes`` N×most×4 in pixels of the model's input, ``scores`` N×most in 0–1, best first, and ``labels`` N×most; the
    score is 0 where an image has fewer. ``threshold`` is the overlap (IoU) above which the lesser of two boxes of a
    class goes, ``candidates`` how many pairs of place and class are compared, ``least`` the score below which none is.

    ``temperature`` and ``shift`` calibrate scores (Platt 1999): the log-odds are divided by one, and the other added.
    They change no order, and with it no mAP.
    """

    def __init__(
        self,
        *,
        threshold: float = 0.65,
        most: int = 300,
        candidates: int = 500,
        least: float = 0.001,
        temperature: float = 1.0,
        shift: float = 0.0,
    ) -> None:
        super().__init__()
        self.threshold = threshold
        self.most = most
        self.candidates = candidates
        self.least = least
        self.temperature = temperature
        self.shift = shift

    def forward(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """From a model's tensors, or from what ``suppressed`` made of them."""
        out = dict(tensors) if "scores" in tensors else self.suppressed(tensors)
        if self.temperature != 1 or self.shift != 0:
            scores = out["scores"]
            out["scores"] = (scores.logit(1e-6) / self.temperature + self.shift).sigmoid() * (scores > 0)
        return out

    def suppressed(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same, scores as the model gives them."""
        scores = tensors["objectness"].float().sigmoid()[..., None] * tensors["logits"].float().sigmoid()
        boxes, scores, labels = nms(
            tensors["boxes"].float(),
            scores,
            threshold=self.threshold,
            most=self.most,
            candidates=self.candidates,
            least=self.least,
        )
        return {"boxes": boxes, "scores": scores, "labels": labels}
