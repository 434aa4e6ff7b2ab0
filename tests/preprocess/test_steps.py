"""The table of steps: what holds for each of them, and how they are written."""

import doctest
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from visto.errors import DataError, UsageError
from visto.preprocess import STEPS, Fit, Standard, canonical, is_colourless, steps
from visto.preprocess.steps import Parameter, Step, apply, parse, signature
from visto.types import Size

GIVEN = {"brightness": "=1.3", "contrast": "=1.6", "gamma": "=0.7", "saturation": "=1.8"}
EACH = [name + GIVEN.get(name, "") for name in STEPS]


@st.composite
def values(draw: st.DrawFn, parameter: Parameter) -> int | float:
    if parameter.odd:
        return 2 * draw(st.integers(int(parameter.low) // 2, int(parameter.high) // 2)) + 1
    if parameter.whole:
        return draw(st.integers(int(parameter.low), int(parameter.high)))
    return draw(st.floats(parameter.low, parameter.high))


@st.composite
def written_steps(draw: st.DrawFn) -> Step:
    name = draw(st.sampled_from(list(STEPS)))
    found = tuple(draw(values(parameter)) for parameter in STEPS[name].parameters)
    return Step(name, found if not STEPS[name].refuses(*found) else (1.0, 2.0, 1.0))


@st.composite
def images(draw: st.DrawFn) -> Tensor:
    """A batch of noise, of a few values or many, from 1×1 up, with some of its images of a single value."""
    shape = (draw(st.integers(1, 3)), draw(st.sampled_from([1, 3])), draw(st.integers(1, 40)), draw(st.integers(1, 40)))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    lowest = draw(st.integers(0, 255))
    found = torch.randint(lowest, draw(st.integers(lowest, 255)) + 1, shape, generator=random).to(torch.uint8)
    if draw(st.booleans()):
        found[0] = lowest
    return found.contiguous(memory_format=torch.channels_last) if draw(st.booleans()) else found


def _noise(channels: int = 3, side: int = 24) -> Tensor:
    random = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (4, channels, side, side), generator=random, dtype=torch.uint8)


def test_the_examples() -> None:
    assert doctest.testmod(steps) == (0, doctest.testmod(steps).attempted)


@settings(max_examples=300, deadline=None)
@given(step=written_steps(), images=images())
def test_every_step_keeps_what_all_promise(step: Step, images: Tensor) -> None:
    """Shape, range, input, each image on its own, the same each time; or a DataError with words."""
    before = images.clone()
    try:
        found = apply(images, [step])
    except DataError as error:
        assert error.expected
        assert error.hint
        assert step.name == "otsu" or step.least_side > min(images.shape[2:])
        return
    assert found.dtype == torch.uint8
    assert found.shape == images.shape
    assert torch.equal(images, before)
    assert torch.equal(found, apply(images, [step]))
    assert torch.equal(found, torch.cat([apply(image[None], [step]) for image in images]))


@pytest.mark.parametrize("text", EACH)
def test_an_image_without_colour_is_treated_alike_in_one_channel_and_in_three(text: str) -> None:
    grey = _noise(channels=1)
    three = apply(grey.expand(-1, 3, -1, -1), parse(text))
    assert all(torch.equal(three[:, k : k + 1], apply(grey, parse(text))) for k in range(3))


@pytest.mark.parametrize("text", [*EACH, "saturation=0"])
def test_what_is_said_to_leave_no_colour_leaves_none(text: str) -> None:
    found = apply(_noise(), parse(text))
    assert is_colourless(text) == bool((found == found[:, :1]).all())


@pytest.mark.parametrize("text", ["saturation=3", "gray-world", "white-patch"])
def test_a_step_for_colour_leaves_grey_alone(text: str) -> None:
    grey = _noise(channels=1)
    assert apply(grey, parse(text)) is grey


@pytest.mark.parametrize("text", EACH)
def test_every_step_does_something(text: str) -> None:
    assert not torch.equal(apply(_noise(), parse(text)), _noise())


def test_steps_follow_each_other() -> None:
    both = apply(_noise(), parse("gamma=0.5,median=3"))
    assert torch.equal(both, apply(apply(_noise(), parse("gamma=0.5")), parse("median=3")))
    assert torch.equal(
        apply(_noise(), parse("gray,blur=2,sobel")), apply(apply(_noise(), parse("gray,blur=2")), parse("sobel"))
    )


def test_no_steps_give_the_same_images() -> None:
    noise = _noise()
    assert apply(noise, parse([])) is noise
    assert canonical(()) == []
    assert not is_colourless(())


@settings(max_examples=200, deadline=None)
@given(st.lists(written_steps(), min_size=1, max_size=5))
def test_the_canonical_text_reads_as_the_same_steps(found: list[Step]) -> None:
    texts = [str(step) for step in found]
    assert parse(texts) == tuple(found)
    assert parse(",".join(texts)) == tuple(found)
    assert canonical(texts) == texts
    assert json.loads(json.dumps(texts)) == texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "gray,clahe,gamma=0.8,median=5,canny=50:100",
            ["gray", "clahe=2:8", "gamma=0.8", "median=5", "canny=50:100:1"],
        ),
        (" grey , equalise ", ["gray", "equalize"]),
        ("clahe=3", ["clahe=3:8"]),
        ("clahe=2.50:4.0", ["clahe=2.5:4"]),
        ("clahe = 2 : 4", ["clahe=2:4"]),
        ("adaptive=15:-3", ["adaptive=15:-3"]),
        ("saturation=1e-5", ["saturation=1e-05"]),
    ],
)
def test_how_steps_may_be_written(text: str, expected: list[str]) -> None:
    assert canonical(text) == expected


@pytest.mark.parametrize(
    ("text", "met", "expected"),
    [
        ("nonsense", "no step 'nonsense'", "clahe"),
        ("", "without a name", "clahe"),
        ("gray,,clahe", "without a name", "clahe"),
        ("gray,", "without a name", "clahe"),
        ("=3", "without a name", "clahe"),
        ("GRAY", "no step 'GRAY'", "gray"),
        ("gamma", "needs a value", "0.1 to 10"),
        ("gamma=", "exponent is ''", "0.1 to 10"),
        ("gamma=bright", "exponent is 'bright'", "0.1 to 10"),
        ("gamma=nan", "exponent is 'nan'", "0.1 to 10"),
        ("gamma=inf", "exponent is 'inf'", "0.1 to 10"),
        ("gamma=0", "exponent is '0'", "0.1 to 10"),
        ("gamma=0.5:2", "too many values", "gamma=exponent"),
        ("gray=1", "too many values", "takes no values"),
        ("median=4", "size is '4'", "odd, 3 to 15"),
        ("median=17", "size is '17'", "odd, 3 to 15"),
        ("median=3.5", "size is '3.5'", "odd, 3 to 15"),
        ("clahe=2:8.5", "tiles is '8.5'", "whole, 1 to 64"),
        ("clahe=:8", "clip is ''", "1 to 100"),
        ("canny=100:50", "low is above high", "canny=low:high:sigma"),
        ("canny=50=100", "low is '50=100'", "1 to 1442"),
    ],
)
def test_what_cannot_be_understood(text: str, met: str, expected: str) -> None:
    with pytest.raises(UsageError) as error:
        parse(text)
    assert met in error.value.message
    assert expected in error.value.expected


def test_a_slip_is_told_from_nonsense() -> None:
    with pytest.raises(UsageError) as error:
        parse("medain=3")
    assert "median" in error.value.hint
    with pytest.raises(UsageError) as error:
        parse("xyzzy")
    assert "--list" in error.value.hint


@pytest.mark.parametrize("wrong", [5, [5], [["gray"]], None, {"gray": 1}])
def test_what_is_no_text(wrong: object) -> None:
    with pytest.raises(UsageError, match="steps"):
        parse(wrong)  # type: ignore[arg-type]


def test_the_defaults_lie_in_their_ranges() -> None:
    for kind in STEPS.values():
        for parameter in kind.parameters:
            assert parameter.default is None or parameter.read(str(parameter.default)) == parameter.default


def test_fit_prepares_between_the_size_and_the_channels() -> None:
    pictures = _noise(side=50)
    size = Size(height=20, width=30)
    small = Fit(size=size, channels=3)(pictures)
    expected = apply(small, parse("white-patch,median=3"))
    assert torch.equal(Fit(size=size, channels=3, prepare=["white-patch", "median=3"])(pictures), expected)
    grey = Fit(size=size, channels=1)(expected)
    assert torch.equal(Fit(size=size, channels=1, prepare=["white-patch", "median=3"])(pictures), grey)


def test_fit_of_grey_images_to_three_channels() -> None:
    found = Fit(size=Size(height=24, width=24), channels=3, prepare=["otsu"])(_noise(channels=1))
    assert found.shape == (4, 3, 24, 24)
    assert set(found.flatten().tolist()) == {0, 255}


def test_the_key_of_the_cache() -> None:
    size = Size(height=20, width=30)
    plain = Fit(size=size, channels=3)
    assert plain.key == Fit(size=size, channels=3, prepare=()).key
    assert plain.key == '{"fit": "squash", "resized_in": "uint8", "size": [20, 30], "channels": 3}'
    keys = [
        Fit(size=size, channels=3, prepare=texts).key for texts in (["gray"], ["clahe"], ["clahe=3"], ["gray,clahe"])
    ]
    assert len({plain.key, *keys}) == 5
    assert keys[1] == Fit(size=size, channels=3, prepare=["clahe=2:8"]).key
    assert json.loads(keys[3])["steps"] == ["gray", "clahe=2:8"]


@pytest.mark.parametrize("text", ["median=11", "adaptive=15", "clahe"])
def test_a_step_that_no_image_of_the_size_can_go_through(text: str) -> None:
    with pytest.raises(UsageError, match="10×10"):
        Fit(size=Size(height=10, width=10), channels=3, prepare=[text])


def test_an_image_that_cannot_be_treated() -> None:
    with pytest.raises(DataError, match="single brightness"):
        Fit(size=Size(height=4, width=4), channels=1, prepare=["otsu"])(torch.zeros(1, 1, 9, 9, dtype=torch.uint8))


def test_standard_prepares_too() -> None:
    standard = Standard(size=[24, 24], channels=3, mean=[0.5] * 3, std=[0.5] * 3, prepare=["otsu"])
    assert set(standard(_noise()).flatten().tolist()) == {-1, 1}


def test_the_how_to_lists_every_step() -> None:
    text = (Path(__file__).parents[2] / "docs" / "how-to" / "prepare-images.md").read_text(encoding="utf-8")
    assert [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")] == list(map(signature, STEPS))
