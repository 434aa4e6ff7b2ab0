"""What is settled before an input is read, as one value."""

from dataclasses import dataclass

from visto.preprocess import Fit, StepsFit


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is settled before an image is read: how images are fitted, which model learns, with published weights?

    ``fits`` has several where the best is still to be found out. ``why`` says all of it, ``sight`` how images are
    fitted alone. ``features`` are those of a classic model.
    """

    fits: tuple[Fit | StepsFit, ...]
    model: str
    pretrained: bool
    grey: bool
    why: str
    sight: str = ""
    features: tuple[str, ...] = ()

    @property
    def fit(self) -> Fit | StepsFit:
        return self.fits[0]
