"""``visto predict`` with boxes: videos frame by frame, things followed, pictures drawn, and what is refused."""

import io
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Visto, contents
from tests.films import write_film
from tests.prediction.eye import Eye, as_model
from tests.scenes import Pixels, painted
from visto.ops.picture import COLOURS

FRAMES, HEIGHT, WIDTH = 12, 64, 128


def moments(*, pale: range = range(0)) -> list[Pixels]:
    """Two squares that run towards each other at different heights; the first is ``pale`` in some frames."""
    found = []
    for t in range(FRAMES):
        pixels = painted([("square", 4 + 8 * t, 4, 24 + 8 * t, 24)], size=(HEIGHT, WIDTH))
        if t in pale:
            pixels[4:24, 4 + 8 * t : 24 + 8 * t] = (100, 10, 10)
        pixels[40:60, 104 - 8 * t : 124 - 8 * t] = (230, 40, 30)
        found.append(pixels // 4 * 4)
    return found


@pytest.fixture
def eye(monkeypatch: pytest.MonkeyPatch) -> Eye:
    """Stands in for every bundle."""
    eye = Eye()
    monkeypatch.setattr("visto.api.load", lambda path, trusted: as_model(eye))
    return eye


@pytest.fixture
def film(tmp_path: Path) -> str:
    write_film(tmp_path / "clip.mp4", moments())
    return "clip.mp4"


def by_track(lines: list[Any]) -> dict[int, list[tuple[int, float]]]:
    """The left edges of each track: (frame, x0)."""
    found: dict[int, list[tuple[int, float]]] = {}
    for t, line in enumerate(lines):
        for answer in line["answers"]:
            found.setdefault(answer["track"], []).append((line.get("frame", t), answer["box"][0]))
    return found


def test_a_line_a_frame(visto: Visto, eye: Eye, film: str) -> None:
    ended = visto("predict", "m.visto", film, "--json")
    assert ended.code == 0
    assert [line["id"] for line in ended.lines] == [f"clip.mp4#{t}" for t in range(FRAMES)]
    assert [line["frame"] for line in ended.lines] == list(range(FRAMES))
    assert [line["seconds"] for line in ended.lines] == pytest.approx([t / 10 for t in range(FRAMES)])
    for t, line in enumerate(ended.lines):
        assert list(line) == ["id", "frame", "seconds", "answers", "abstain"]
        boxes = sorted(answer["box"] for answer in line["answers"])
        wanted = sorted([[4 + 8 * t, 4, 24 + 8 * t, 24], [104 - 8 * t, 40, 124 - 8 * t, 60]])
        assert np.abs(np.array(boxes) - np.array(wanted)).max() <= 2
        assert {answer["label"] for answer in line["answers"]} == {"square"}


def test_a_frame_is_answered_as_its_picture_is(visto: Visto, bundle: Path, film: str) -> None:
    """By a classifier too."""
    from visto.data.video import video_frames

    for frame in video_frames(Path(film)):
        path = Path("frames", f"{frame.number}.png")
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(frame.image.permute(1, 2, 0).numpy()).save(path)
    said = visto("predict", bundle, film, "--json").lines
    for line, other in zip(said, visto("predict", bundle, "frames", "--json").lines, strict=True):
        assert line["answers"] == other["answers"]
    words = visto("predict", bundle, film, "--quiet")
    assert words.out.splitlines()[3].startswith("clip.mp4#3  ")
    assert not words.err


def test_tracks_keep_their_numbers(visto: Visto, eye: Eye, film: str) -> None:
    ended = visto("predict", "m.visto", film, "--track", "--json")
    assert ended.code == 0
    tracks = by_track(ended.lines)
    assert sorted(tracks) == [1, 2]
    assert all(len(places) == FRAMES for places in tracks.values())
    right, left = sorted(tracks.values(), key=lambda places: places[0][1])
    assert [x for _, x in right] == pytest.approx([4 + 8 * t for t in range(FRAMES)], abs=2)
    assert [x for _, x in left] == pytest.approx([104 - 8 * t for t in range(FRAMES)], abs=2)
    words = visto("predict", "m.visto", film, "--track").out.splitlines()
    assert words[0].startswith("clip.mp4#0  #")


def test_what_is_seen_badly_is_followed_though_it_would_not_be_said(visto: Visto, eye: Eye, tmp_path: Path) -> None:
    write_film(tmp_path / "clip.mkv", moments(pale=range(4, 8)))
    plain = visto("predict", "m.visto", "clip.mkv", "--json").lines
    assert [len(line["answers"]) for line in plain] == [2] * 4 + [1] * 4 + [2] * 4
    lines = visto("predict", "m.visto", "clip.mkv", "--track", "--json").lines
    assert {len(places) for places in by_track(lines).values()} == {FRAMES}
    assert min(answer["score"] for answer in lines[5]["answers"]) < 0.5
    # from the start of the pale ones' score it is a thing as any other: its threshold is what was asked for
    asked = visto("predict", "m.visto", "clip.mkv", "--threshold", "0.3", "--json").lines
    assert [len(line["answers"]) for line in asked] == [2] * FRAMES
    none = visto("predict", "m.visto", "clip.mkv", "--track", "--threshold", "0.95", "--json").lines
    assert not any(line["answers"] for line in none)
    assert len(visto("predict", "m.visto", "clip.mkv", "--track", "--threshold", "0", "--json").lines) == FRAMES


def test_images_of_a_folder_are_one_sequence_in_natural_order(visto: Visto, eye: Eye) -> None:
    for place in ("a", "b"):
        Path("seq", place).mkdir(parents=True)
        for t, pixels in enumerate(moments()):
            Image.fromarray(pixels).save(Path("seq", place, f"{t}.png"))
    Path("seq/b/5.png").write_bytes(b"no image")
    Path("seq/clip.txt").write_text("no image by its name")
    ended = visto("predict", "m.visto", "seq", "--track", "--json")
    assert ended.code == 3
    assert "clip.txt passed over" in ended.err
    first, second = ended.lines[:FRAMES], ended.lines[FRAMES:]
    assert [line["id"] for line in first] == [f"a/{t}.png" for t in range(FRAMES)]
    assert {len(places) for places in by_track(first).values()} == {FRAMES}
    assert second[5]["id"] == "b/5.png" and "error" in second[5]
    good = [line for line in second if "error" not in line]
    tracks = by_track(good)
    assert sorted(tracks) == [1, 2]  # counted anew, and one frame that cannot be read does no harm
    assert {len(places) for places in tracks.values()} == {FRAMES - 1}


def edge_colour(pixels: Pixels, x: int, y: int) -> int:
    """Which of a box's colours is near a place on its left edge, in a picture of twice the size."""
    line = pixels[2 * y, max(0, 2 * x - 5) : 2 * x + 6]
    (found,) = [k for k, colour in enumerate(COLOURS) if (line == colour).all(-1).any()]
    return found


def test_frames_are_drawn_coloured_by_track(visto: Visto, eye: Eye, film: str) -> None:
    assert visto("predict", "m.visto", film, "--track", "--draw", "out").code == 0
    drawn = sorted(path.name for path in Path("out").iterdir())
    assert drawn == [f"{t:06d}.png" for t in range(FRAMES)]
    looks = set()
    for t, name in enumerate(drawn):
        with Image.open(Path("out", name)) as picture:
            assert picture.size == (2 * WIDTH, 2 * HEIGHT)  # small ones are enlarged
            pixels = np.asarray(picture.convert("RGB"))
        looks.add((edge_colour(pixels, 4 + 8 * t, 14), edge_colour(pixels, 104 - 8 * t, 50)))
    assert looks in ({(0, 1)}, {(1, 0)})
    assert visto("predict", "m.visto", film, "--draw", "plain").code == 0
    assert len(list(Path("plain").iterdir())) == FRAMES


def test_a_video_that_breaks_off(visto: Visto, eye: Eye) -> None:
    noise = np.random.default_rng(0).integers(0, 60, (FRAMES * 2, HEIGHT, WIDTH, 3), dtype=np.uint8)
    content = write_film(Path("whole.mp4"), list(noise)).read_bytes()
    Path("clip.mp4").write_bytes(content[: len(content) // 2])
    before = contents(Path())
    for more in ((), ("--track",)):
        ended = visto("predict", "m.visto", "clip.mp4", "--json", *more)
        assert ended.code == 3
        *frames, last = ended.lines
        assert [line["frame"] for line in frames] == list(range(len(frames)))
        assert 3 < len(frames) < FRAMES * 2
        assert last["id"] == "clip.mp4"
        assert f"after frame {len(frames) - 1}" in last["error"]
    words = visto("predict", "m.visto", "clip.mp4", "--quiet")
    assert words.code == 3
    assert len(words.out.splitlines()) == len(frames)
    assert words.err.startswith("clip.mp4  error: ")
    assert contents(Path()) == before


def test_what_is_no_video(visto: Visto, eye: Eye) -> None:
    Path("clip.mp4").write_text("only words\n" * 100)
    ended = visto("predict", "m.visto", "clip.mp4", "--json")
    assert ended.code == 3
    (line,) = ended.lines
    assert line["id"] == "clip.mp4" and line["error"].startswith("not a video")
    missing = visto("predict", "m.visto", "none.mp4", "--json")
    assert missing.code == 3
    assert "none.mp4 does not exist" in missing.document["error"]["message"]


def test_the_suffix_says_what_it_is(visto: Visto, eye: Eye, film: str) -> None:
    Path(film).rename("CLIP.MP4")
    assert len(visto("predict", "m.visto", "CLIP.MP4", "--json").lines) == FRAMES
    Path("folder.mp4").mkdir()
    Image.fromarray(moments()[0]).save("folder.mp4/1.png")
    assert [line["id"] for line in visto("predict", "m.visto", "folder.mp4", "--json").lines] == ["1.png"]


def test_a_name_that_is_no_text(visto: Visto, eye: Eye, film: str) -> None:
    name = os.fsdecode(b"clip\xff.mp4")
    Path(film).rename(name)
    Image.fromarray(moments()[0]).save(name[:-4] + ".png", "PNG")
    assert visto("predict", "m.visto", name, "--json").lines[0]["id"] == "clip\\xff.mp4#0"
    assert visto("predict", "m.visto", name[:-4] + ".png", "--json").lines[0]["id"] == "clip\\xff.png"
    assert visto("predict", "m.visto", name).out.startswith("clip\\xff.mp4#0  ")
    for suffix in ("mp4", "png"):
        missing = visto("predict", "m.visto", os.fsdecode(b"none\xff.") + suffix, "--json")
        assert (missing.code, missing.document["error"]["message"]) == (3, f"none\\xff.{suffix} does not exist")


def test_one_image_is_a_short_sequence(visto: Visto, eye: Eye) -> None:
    Image.fromarray(moments()[0]).save("a.png")
    (line,) = visto("predict", "m.visto", "a.png", "--track", "--json").lines
    assert sorted(answer["track"] for answer in line["answers"]) == [1, 2]
    assert "frame" not in line


def test_without_pyav(visto: Visto, eye: Eye, film: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    ended = visto("predict", "m.visto", film)
    assert ended.code == 2
    assert "pip install 'visto[video]'" in ended.err
    assert not ended.out


def test_only_boxes_can_be_followed(visto: Visto, bundle: Path, film: str) -> None:
    for source in (film, "none.mp4"):
        ended = visto("predict", bundle, source, "--track")
        assert ended.code == 2
        assert "only boxes can be followed" in ended.err


def test_no_confidence_in_boxes(visto: Visto, eye: Eye, film: str) -> None:
    for more in ((), ("--track",)):
        ended = visto("predict", "m.visto", film, "--confidence", "0.9", *more)
        assert ended.code == 2
        assert not ended.out


def test_top_cuts_what_is_said(visto: Visto, eye: Eye, film: str) -> None:
    for more in ((), ("--track",)):
        lines = visto("predict", "m.visto", film, "--top", "1", "--json", *more).lines
        assert [len(line["answers"]) for line in lines] == [1] * FRAMES


def test_boxes_are_drawn_on_what_comes_from_stdin(visto: Visto, eye: Eye, monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    Image.fromarray(painted([("disc", 100, 50, 160, 110)], size=(200, 300))).save(content, "PNG")
    content.seek(0)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(content))
    ended = visto("predict", "m.visto", "-", "--json", "--draw", "drawn")
    assert ended.code == 0
    (line,) = ended.lines
    assert line["answers"][0]["label"] == "disc"
    assert np.abs(np.array(line["answers"][0]["box"]) - [100, 50, 160, 110]).max() <= 3
    with Image.open("drawn/stdin.png") as picture:
        assert picture.size == (300, 200)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_are_in_pixels_of_the_upright_original(visto: Visto, eye: Eye, orientation: int) -> None:
    """Odd sides, letterboxed, turned as EXIF says; PNG and JPEG, which is decoded smaller."""
    pixels = Image.fromarray(painted([("square", 40, 300, 240, 420), ("disc", 300, 30, 430, 160)], size=(447, 633)))
    turns = {1: (), 2: (0,), 3: (3,), 4: (1,), 5: (5,), 6: (2,), 7: (6,), 8: (4,)}
    lying = pixels
    for turn in turns[orientation]:
        lying = lying.transpose(Image.Transpose(turn))
    exif = Image.Exif()
    exif[0x0112] = orientation
    Path("in").mkdir()
    lying.save("in/a.jpg", exif=exif, quality=95, subsampling=0)
    lying.save("in/a.png", exif=exif)
    for line in visto("predict", "m.visto", "in", "--json").lines:
        found = {answer["label"]: answer["box"] for answer in line["answers"]}
        pixel = 633 / 96  # of the input, in pixels of the original
        assert np.abs(np.array(found["square"]) - [40, 300, 240, 420]).max() <= pixel
        assert np.abs(np.array(found["disc"]) - [300, 30, 430, 160]).max() <= pixel
