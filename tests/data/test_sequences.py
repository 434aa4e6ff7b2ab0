"""Clips and series as tensors: which steps are whose, what is repaired, and what the cache keeps."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from visto.data.cache import Pixels, materialise, take
from visto.data.dataset import Clip, Item, Steps
from visto.data.loader import gather, in_order, padded
from visto.preprocess import Fit, StepsFit
from visto.types import Label, Size


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISTO_CACHE", str(tmp_path / "cache"))


def fit(every: int = 1) -> Fit:
    return Fit(size=Size(height=8, width=8), channels=3, every=every)


def frames(folder: Path, levels: list[int], side: int = 8) -> Clip:
    """A clip of plain grey frames of such levels, a file each."""
    folder.mkdir(parents=True)
    files = []
    for number, level in enumerate(levels):
        files.append(folder / f"{number:03}.png")
        Image.new("RGB", (side, side), (level,) * 3).save(files[-1])
    return Clip(tuple(files))


def levels_of(pixels: Pixels, row: int) -> list[int]:
    return [int(frame.float().mean()) for frame in gather(pixels, torch.tensor([row]))[0]]


def item(name: str, source: Clip | Steps) -> Item:
    return Item(name, source, Label(index=0))


def test_frames_come_in_order_and_of_each_clip(tmp_path: Path) -> None:
    clips = [frames(tmp_path / "a", [10, 20, 30]), frames(tmp_path / "b", [40, 50])]
    pixels = materialise([item("a", clips[0]), item("b", clips[1])], fit(), threads=2)
    assert pixels.lengths.tolist() == [3, 2]
    assert levels_of(pixels, 0) == [10, 20, 30]
    assert levels_of(pixels, 1) == [40, 50]
    assert levels_of(take(pixels, torch.tensor([1])), 0) == [40, 50]
    assert [len(rows) for rows, _ in in_order(pixels, 10)] == [1, 1]
    steps, lengths = padded(pixels, torch.tensor([0, 1]))
    assert steps.shape == (2, 3, 3, 8, 8) and lengths.tolist() == [3, 2]
    with pytest.raises(ValueError, match="unequal"):
        gather(pixels, torch.tensor([0, 1]))


def test_each_so_many_th_frame_from_the_first_on(tmp_path: Path) -> None:
    clip = frames(tmp_path / "a", list(range(0, 100, 10)))
    pixels = materialise([item("a", clip)], fit(every=4), threads=1)
    assert levels_of(pixels, 0) == [0, 40, 80]


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_moving_images_are_decoded_once(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"a.{suffix}"
    levels = [0, 60, 120, 180, 240]
    first, *others = [Image.new("RGB", (8, 8), (level,) * 3) for level in levels]
    first.save(path, save_all=True, append_images=others, duration=40, lossless=True)
    clip = item("a", Clip((path,), moving=True))
    before = materialise([clip], fit(every=2), threads=1)
    assert levels_of(before, 0) == [0, 120, 240]
    monkeypatch.setattr("visto.data.sequences.clip_frames", None)
    again = materialise([clip], fit(every=2), threads=1)
    assert torch.equal(again.digests, before.digests) and levels_of(again, 0) == [0, 120, 240]


def test_a_bad_frame_is_left_out_and_said(tmp_path: Path) -> None:
    clip = frames(tmp_path / "a", [10, 20, 30])
    clip.files[1].write_bytes(b"nothing")
    pixels = materialise([item("a", clip)], fit(), threads=1)
    assert levels_of(pixels, 0) == [10, 30]
    (entry,) = pixels.entries
    assert entry.status == "repaired" and "1 frame left out (001.png" in entry.reason


def test_less_than_two_frames_are_no_clip(tmp_path: Path) -> None:
    clip = frames(tmp_path / "a", [10, 20])
    clip.files[1].write_bytes(b"nothing")
    alone = frames(tmp_path / "b", [10])
    pixels = materialise([item("a", clip), item("b", alone)], fit(), threads=1)
    assert len(pixels) == 0 and [entry.status for entry in pixels.entries] == ["rejected", "rejected"]
    assert "001.png" in pixels.entries[0].reason
    assert pixels.entries[1].reason == "only one frame: nothing moves"


def test_another_order_of_frames_is_another_clip(tmp_path: Path) -> None:
    clip = frames(tmp_path / "a", [10, 20, 30])
    turned = Clip(clip.files[::-1])
    pixels = materialise([item("a", clip), item("b", turned), item("c", clip)], fit(), threads=1)
    digests = [bytes(row.tolist()) for row in pixels.digests]
    assert digests[0] == digests[2] != digests[1]


@given(st.lists(st.integers(1, 7), min_size=1, max_size=6), st.integers(1, 4))
def test_series_are_the_rows_of_their_arrays(lengths: list[int], features: int) -> None:
    ends = np.cumsum([0, *lengths])
    array = np.arange(int(ends[-1]) * features, dtype=np.float32).reshape(-1, features)
    items = [item(str(k), Steps(array, int(ends[k]), int(ends[k + 1]))) for k in range(len(lengths))]
    pixels = materialise(items, StepsFit(features), threads=1)
    assert pixels.lengths.tolist() == lengths
    for k, one in enumerate(items):
        assert isinstance(one.source, Steps)
        assert np.array_equal(gather(pixels, torch.tensor([k]))[0].numpy(), one.source.values)


def test_a_series_with_other_features_is_rejected() -> None:
    items = [item("a", Steps(np.zeros((3, 2), np.float32), 0, 3)), item("b", Steps(np.zeros((3, 1), np.float32), 0, 3))]
    pixels = materialise(items, StepsFit(2), threads=1)
    assert [entry.status for entry in pixels.entries] == ["kept", "rejected"]
    assert pixels.entries[1].reason == "1 number a step, not 2"
