"""Videos written here are read back: how many, how large, in which order, upright; and what is broken says where."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
import torch
from av.video.stream import VideoStream

from visto.data.video import Frame, video_facts, video_frames
from visto.errors import DataError, UsageError

HEIGHT, WIDTH, FRAMES = 48, 96, 30


def _picture(number: int) -> "np.ndarray[Any, Any]":
    """Brighter from frame to frame; red at the top left, blue at the bottom left, for to tell what is upright."""
    pixels = np.full((HEIGHT, WIDTH, 3), 20 + 7 * number, np.uint8)
    pixels[:16, :16] = (230, 20, 20)
    pixels[-16:, :16] = (20, 20, 230)
    return pixels


def _noise(number: int) -> "np.ndarray[Any, Any]":
    """What takes many bytes to store, so that a frame can be hit."""
    return np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def _write(
    path: Path,
    *,
    codec: str = "mpeg4",
    picture: Callable[[int], "np.ndarray[Any, Any]"] = _picture,
    turn: Callable[[Any], None] | None = None,
) -> Path:
    with av.open(str(path), "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}) as container:
        stream = cast(VideoStream, container.add_stream(codec, rate=10))
        stream.height, stream.width, stream.pix_fmt, stream.bit_rate = HEIGHT, WIDTH, "yuv420p", 2_000_000
        if turn:
            turn(stream)
        for number in range(FRAMES):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
        container.mux(stream.encode())
    return path


def _corner(image: torch.Tensor, x: int, y: int) -> str:
    return "RGB"[int(image[:, y, x].argmax())]


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "mpeg4"), ("a.avi", "mpeg4"), ("a.mkv", "libx264")])
def test_frames_come_whole_and_in_order(tmp_path: Path, name: str, codec: str) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV cannot write {codec}")
    path = _write(tmp_path / name, codec=codec)
    frames = list(video_frames(path))
    assert [frame.number for frame in frames] == list(range(FRAMES))
    assert [frame.seconds for frame in frames] == pytest.approx([t / 10 for t in range(FRAMES)], abs=1e-3)
    assert {(tuple(frame.image.shape), frame.image.dtype) for frame in frames} == {((3, HEIGHT, WIDTH), torch.uint8)}
    middles = [int(frame.image[:, HEIGHT // 2, WIDTH // 2].float().mean()) for frame in frames]
    assert middles == pytest.approx([20 + 7 * t for t in range(FRAMES)], abs=6)
    assert _corner(frames[0].image, 4, 4) == "R"
    assert _corner(frames[0].image, 4, HEIGHT - 4) == "B"
    facts = video_facts(path)
    assert facts.fps == pytest.approx(10)
    assert facts.seconds == pytest.approx(3, abs=0.11)
    assert facts.frames in (FRAMES, None)


@pytest.mark.parametrize(
    ("degrees", "red", "blue"),
    # where the left edge's two corners go, turned counter-clockwise
    [
        (0, "top left", "bottom left"),
        (90, "bottom left", "bottom right"),
        (180, "bottom right", "top right"),
        (-90, "top right", "top left"),
    ],
)
def test_what_was_filmed_sideways_is_turned(tmp_path: Path, degrees: int, red: str, blue: str) -> None:
    path = _write(tmp_path / "a.mp4", turn=lambda stream: stream.set_display_rotation(degrees))
    image = next(iter(video_frames(path))).image
    assert tuple(image.shape) == ((3, HEIGHT, WIDTH) if degrees in (0, 180) else (3, WIDTH, HEIGHT))
    _, height, width = image.shape
    places = {"top": 4, "bottom": height - 4, "left": 4, "right": width - 4}
    for corner, wanted in ((red, "R"), (blue, "B")):
        y, x = (places[word] for word in corner.split())
        assert _corner(image, x, y) == wanted


def test_what_was_filmed_in_a_mirror_is_mirrored(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.mp4", turn=lambda stream: stream.set_display_rotation(0, hflip=True))
    image = next(iter(video_frames(path))).image
    assert (_corner(image, WIDTH - 4, 4), _corner(image, WIDTH - 4, HEIGHT - 4)) == ("R", "B")


def _read(path: Path) -> tuple[list[Frame], DataError]:
    frames = []
    with pytest.raises(DataError) as caught:
        for frame in video_frames(path):
            frames.append(frame)
    return frames, caught.value


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "mpeg4"), ("a.avi", "mpeg4"), ("a.mkv", "mpeg4")])
def test_a_file_cut_off(tmp_path: Path, name: str, codec: str) -> None:
    path = _write(tmp_path / name, codec=codec, picture=_noise)
    whole = list(video_frames(path))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    frames, error = _read(path)
    assert 5 < len(frames) < 25
    assert f"after frame {len(frames) - 1} " in error.message
    assert all(torch.equal(a.image, b.image) for a, b in zip(frames, whole, strict=False))


def test_a_file_damaged_in_the_middle(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.mp4", picture=_noise)
    whole = list(video_frames(path))
    content = bytearray(path.read_bytes())
    middle = len(content) * 6 // 10
    content[middle : middle + 300] = bytes(300)
    path.write_bytes(content)
    frames, error = _read(path)
    assert 5 < len(frames) < 25
    assert error.message.startswith(f"damaged after frame {len(frames) - 1} ")
    assert all(torch.equal(a.image, b.image) for a, b in zip(frames, whole, strict=False))


def test_an_mp4_without_its_index(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.mp4", picture=_noise)
    content = path.read_bytes()
    path.write_bytes(content[len(content) // 3 :])
    assert _read(path)[1].message.startswith("not a video")


@pytest.mark.parametrize(
    "content",
    [b"", b"only words\n" * 500, b"#EXTM3U\n#EXTINF:3,\nreal.mp4\n", b"ffconcat version 1.0\nfile real.mp4\n"],
    ids=["empty", "text", "playlist", "list"],
)
def test_not_a_video(tmp_path: Path, content: bytes) -> None:
    """Least of all one that names another file."""
    _write(tmp_path / "real.mp4")
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    frames, error = _read(path)
    assert not frames
    assert error.message.startswith("not a video")
    with pytest.raises(DataError, match="not a video"):
        video_facts(path)


def test_sound_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    assert "without a video stream" in _read(path)[1].message


def test_no_file_and_no_regular_file(tmp_path: Path) -> None:
    assert _read(tmp_path / "none.mp4")[1].message.startswith("cannot be read")
    assert _read(tmp_path)[1].message == "not a regular file"


def test_more_pixels_than_allowed(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.mp4")
    with pytest.raises(DataError, match="too large: 96×48 pixels"):
        next(iter(video_frames(path, limit=HEIGHT * WIDTH - 1)))
    assert len(list(video_frames(path, limit=HEIGHT * WIDTH))) == FRAMES


def test_without_pyav_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UsageError, match="PyAV") as caught:
        video_frames(tmp_path / "a.mp4")
    assert "pip install 'visto[video]'" in caught.value.hint
