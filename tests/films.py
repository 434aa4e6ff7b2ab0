"""Videos written for tests: lossless enough that colours and edges stay."""

from collections.abc import Sequence
from pathlib import Path

import av

from tests.scenes import Pixels


def write_film(path: Path, pictures: Sequence[Pixels], *, fps: int = 10) -> Path:
    """A film of RGB pictures H×W×3, all of one size with even sides."""
    with av.open(str(path), "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}) as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 8_000_000
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path
