"""Where boxes will be in the next frame: a Kalman filter that knows a constant velocity, for many boxes at once.

The state of a box is its centre x and y, its aspect (width / height), its height, and the change of each of the four a
frame: N×8 means with N×8×8 covariances, float64, in pixels and frames. The noise grows with the height of the box, as
in DeepSORT (Wojke, Bewley and Paulus 2017, arXiv 1703.07402), whose weights SORT's followers, ByteTrack too, have kept.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
State = tuple[Floats, Floats]  # means N×8, covariances N×8×8

_POSITION = 1 / 20  # standard deviation of a position, as a share of the height
_VELOCITY = 1 / 160  # and of its change in one frame
_LEAST = 1.0  # pixels: of a box without height the filter would know all, with no noise, and could not be inverted
_MOTION = np.eye(8) + np.eye(8, k=4)  # a position grows by its velocity
# what multiplies the height, and what is added, in the standard deviation of each of the four positions
_SIZED = np.array([1.0, 1.0, 0.0, 1.0])
_ASPECT = np.array([0.0, 0.0, 1.0, 0.0])


def measured(xyxy_n4: Floats) -> Floats:
    """Boxes N×4 as corners to centre x, centre y, aspect, height; a height below 1 pixel is taken as 1.

    >>> measured(np.array([[10.0, 20.0, 30.0, 60.0]])).tolist()
    [[20.0, 40.0, 0.5, 40.0]]
    """
    x0, y0, x1, y1 = xyxy_n4.T
    height = np.maximum(y1 - y0, _LEAST)
    return np.stack([(x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / height, height], axis=1)


def corners(means_n8: Floats) -> Floats:
    """The boxes N×4 as corners of states N×8, none with a negative side.

    >>> corners(np.array([[20.0, 40.0, 0.5, 40.0, 0, 0, 0, 0]])).tolist()
    [[10.0, 20.0, 30.0, 60.0]]
    """
    x, y, aspect, height = means_n8.T[:4]
    high = np.maximum(height, 0) / 2
    wide = np.maximum(aspect, 0) * high
    return np.stack([x - wide, y - high, x + wide, y + high], axis=1)


def started(measured_n4: Floats) -> State:
    """The states of boxes seen for the first time: at rest, as far as is known."""
    spread = _noise(measured_n4[:, 3], position=2 * _POSITION, aspect=1e-2, velocity=10 * _VELOCITY, turning=1e-5)
    return np.concatenate([measured_n4, np.zeros_like(measured_n4)], axis=1), _diagonals(spread)


def predicted(means_n8: Floats, covariances_n88: Floats) -> State:
    """The states one frame later, before anything of that frame is seen."""
    noise = _noise(means_n8[:, 3], position=_POSITION, aspect=1e-2, velocity=_VELOCITY, turning=1e-5)
    return means_n8 @ _MOTION.T, _MOTION @ covariances_n88 @ _MOTION.T + _diagonals(noise)


def updated(means_n8: Floats, covariances_n88: Floats, measured_n4: Floats) -> State:
    """The states after each has been measured, by ``measured_n4``."""
    scale = np.maximum(means_n8[:, 3], _LEAST)[:, None]
    noise_n44 = _diagonals(_SIZED * _POSITION * scale + _ASPECT * 1e-1)
    seen_n44 = covariances_n88[:, :4, :4] + noise_n44  # of what should be measured
    # gain = P Hᵀ S⁻¹, both covariances symmetric
    gains_n84 = np.linalg.solve(seen_n44, covariances_n88[:, :4, :]).transpose(0, 2, 1)
    surprise_n4 = measured_n4 - means_n8[:, :4]
    means = means_n8 + (gains_n84 @ surprise_n4[:, :, None])[:, :, 0]
    return means, covariances_n88 - gains_n84 @ seen_n44 @ gains_n84.transpose(0, 2, 1)


def _noise(heights_n: Floats, *, position: float, aspect: float, velocity: float, turning: float) -> Floats:
    """Standard deviations N×8 for boxes so high; ``aspect`` and its change, ``turning``, do not grow with them."""
    scale = np.maximum(heights_n, _LEAST)[:, None]
    return np.concatenate(
        [_SIZED * position * scale + _ASPECT * aspect, _SIZED * velocity * scale + _ASPECT * turning], axis=1
    )


def _diagonals(deviations: Floats) -> Floats:
    """Covariances N×K×K of independent quantities with these standard deviations N×K."""
    return np.asarray(np.square(deviations)[:, :, None] * np.eye(deviations.shape[1]))
