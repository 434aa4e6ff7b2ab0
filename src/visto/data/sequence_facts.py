"""What a data set's clips or series are like, from a look at some of them: what the default model is chosen by."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from visto.data.clip_frames import clip_frames
from visto.data.dataset import Clip, Item, Steps
from visto.data.video import VIDEO_SUFFIXES, video_facts
from visto.errors import DataError
from visto.types import Size

_LOOKED_AT = 16
_FRAMES = 4  # of each clip


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceFacts:
    """``steps`` is the median length, ``shortest`` the least that was met.

    Of clips, ``size`` is the median of their frames (None: series of numbers). ``channels`` is 1 where all frames
    looked at were grey, else 3; of series how many numbers a step has.
    """

    steps: int
    shortest: int
    size: Size | None
    channels: int


def look_at_sequences(items: Sequence[Item]) -> SequenceFacts:
    """Look at up to 16 sequences, evenly spread. Raises DataError where none can be read."""
    looks = min(_LOOKED_AT, len(items))
    some = [items[k * len(items) // looks].source for k in range(looks)]
    series = [source for source in some if isinstance(source, Steps)]
    if series:
        widths = sorted(source.array.shape[1] for source in series)
        steps = round(median(source.stop - source.start for source in series))
        shortest = min(source.stop - source.start for source in series)
        return SequenceFacts(steps=steps, shortest=shortest, size=None, channels=widths[len(widths) // 2])
    clips = [source for source in some if isinstance(source, Clip)]
    sizes: list[Size] = []
    lengths: list[int] = []
    colour = False
    why: DataError | None = None
    for clip in clips:
        try:
            lengths.append(_length(clip))
            for decoded in clip_frames(clip, max(1, lengths[-1] // _FRAMES)):
                pixels = decoded.pixels.short()
                colour |= int((pixels.amax(0) - pixels.amin(0)).max()) > 3  # as a grey photo saved as colour JPEG has
                sizes.append(decoded.original)
        except DataError as error:
            why = error
    if not sizes:
        raise DataError(
            f"none of the {len(items)} clips can be read" + (f" ({why.message}, for one)" if why else ""),
            hint="look at the files: are they images or videos, and are you allowed to read them?",
        )
    size = Size(height=round(median(s.height for s in sizes)), width=round(median(s.width for s in sizes)))
    steps, channels = round(median(lengths)), 3 if colour else 1
    return SequenceFacts(steps=steps, shortest=min(lengths), size=size, channels=channels)


def _length(clip: Clip) -> int:
    """How many frames it has."""
    if not clip.moving:
        return len(clip.files)
    (path,) = clip.files
    if path.suffix.lower() in VIDEO_SUFFIXES and (known := video_facts(path).frames):
        return known
    return sum(1 for _ in clip_frames(clip))
