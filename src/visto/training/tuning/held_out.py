"""What trials learn from and are judged on: two parts of the training images. Validation and test stay unseen."""

from fractions import Fraction

import torch

from visto.bundle import seen_before
from visto.data.cache import Pixels, take
from visto.errors import UsageError
from visto.training.growth import nested

LEARNT = Fraction(4, 5)  # of each class's images; the rest is held out
_FEWEST = 20  # images held out: below, all that is tried looks alike


def parted(train: Pixels, *, seed: int) -> tuple[Pixels, Pixels]:
    """The images to learn from and those held out: of each class a fifth, groups whole, drawn by hashes of the ids.

    What is held out and has the very content of an image that is learnt is left out. Raises UsageError where too few
    are held out to tell anything apart.
    """
    inside = set(next(nested(train.items, [LEARNT], seed=seed)))
    rows = torch.arange(len(train))
    learnt = torch.tensor([row in inside for row in rows.tolist()])
    learn, held = take(train, rows[learnt]), take(train, rows[~learnt])
    if len(held):
        held = take(held, (~seen_before(held.digests, learn.digests)).nonzero().flatten())
    if len(held) < _FEWEST:
        raise UsageError(
            f"of {len(train):,} training images {len(held)} could be held out to judge trials on",
            expected=f"at least {_FEWEST}: about {5 * _FEWEST} training images, in more than a few groups",
            hint="train with visto train",
        )
    return learn, held
