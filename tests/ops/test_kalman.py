"""The filter against the textbook's equations, box by box with matrix inverses, and against what it should find."""

import numpy as np
import pytest

from visto.ops.kalman import Floats, corners, measured, predicted, started, updated


def _moving(frames: int, count: int = 3, noise: float = 0.5) -> list[Floats]:
    """Measurements N×4 (centre, aspect, height) of boxes that move and grow, seen with noise."""
    rng = np.random.default_rng(0)
    start = np.stack([rng.uniform(50, 200, count), rng.uniform(50, 200, count), np.full(count, 0.6)], 1)
    speed = rng.uniform(-4, 4, (count, 2))
    seen = []
    for t in range(frames):
        height = 40 + 10 * np.arange(count) + 0.5 * t
        place = start[:, :2] + t * speed + rng.normal(0, noise, (count, 2))
        seen.append(np.concatenate([place, start[:, 2:], height[:, None]], 1))
    return seen


class Textbook:
    """One box: x = F x, P = F P Fᵀ + Q; K = P Hᵀ (H P Hᵀ + R)⁻¹, x + K (z − H x), (I − K H) P."""

    def __init__(self, z: Floats) -> None:
        h = z[3]
        self.x = np.concatenate([z, np.zeros(4)])
        self.p = np.diag(np.array([h / 10, h / 10, 1e-2, h / 10, h / 16, h / 16, 1e-5, h / 16]) ** 2)

    def predict(self) -> None:
        h = self.x[3]
        f = np.eye(8)
        for i in range(4):
            f[i, i + 4] = 1
        q = np.diag(np.array([h / 20, h / 20, 1e-2, h / 20, h / 160, h / 160, 1e-5, h / 160]) ** 2)
        self.x, self.p = f @ self.x, f @ self.p @ f.T + q

    def update(self, z: Floats) -> None:
        h = self.x[3]
        observe = np.eye(4, 8)
        r = np.diag(np.array([h / 20, h / 20, 1e-1, h / 20]) ** 2)
        gain = self.p @ observe.T @ np.linalg.inv(observe @ self.p @ observe.T + r)
        self.x = self.x + gain @ (z - observe @ self.x)
        self.p = (np.eye(8) - gain @ observe) @ self.p


def test_it_is_the_textbooks() -> None:
    seen = _moving(12)
    means, covariances = started(seen[0])
    ones = [Textbook(z) for z in seen[0]]
    for t, z in enumerate(seen[1:]):
        means, covariances = predicted(means, covariances)
        for one in ones:
            one.predict()
        if t not in (5, 6):  # out of sight
            means, covariances = updated(means, covariances, z)
            for one, row in zip(ones, z, strict=True):
                one.update(row)
        np.testing.assert_allclose(means, [one.x for one in ones], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(covariances, [one.p for one in ones], rtol=1e-9, atol=1e-9)


def test_it_learns_the_velocity() -> None:
    seen = _moving(30, noise=0.0)
    means, covariances = started(seen[0])
    for z in seen[1:]:
        means, covariances = updated(*predicted(means, covariances), z)
    ahead, _ = predicted(means, covariances)
    velocity = seen[1][:, :2] - seen[0][:, :2]
    np.testing.assert_allclose(means[:, 4:6], velocity, atol=0.05)
    np.testing.assert_allclose(ahead[:, :2], seen[-1][:, :2] + velocity, atol=0.1)


def test_doubt_grows_unseen_and_shrinks_seen() -> None:
    z = _moving(1)[0]
    state = started(z)
    later = predicted(*state)
    assert (np.trace(later[1], axis1=1, axis2=2) > np.trace(state[1], axis1=1, axis2=2)).all()
    after = updated(*later, z)
    assert (np.trace(after[1], axis1=1, axis2=2) < np.trace(later[1], axis1=1, axis2=2)).all()
    np.testing.assert_allclose(after[1], after[1].transpose(0, 2, 1), atol=1e-12)


def test_each_box_is_alone() -> None:
    seen = _moving(3)
    together = updated(*predicted(*started(seen[0])), seen[1])
    alone = [updated(*predicted(*started(seen[0][i : i + 1])), seen[1][i : i + 1]) for i in range(3)]
    np.testing.assert_allclose(together[0], np.concatenate([one[0] for one in alone]), rtol=1e-12)


@pytest.mark.parametrize("count", [0, 1])
def test_no_box_and_a_box_without_size(count: int) -> None:
    flat = np.tile([[5.0, 7.0, 5.0, 7.0]], (count, 1))
    state = started(measured(flat))
    for _ in range(5):
        state = updated(*predicted(*state), measured(flat))
    assert np.isfinite(state[0]).all()
    assert np.isfinite(state[1]).all()
    assert corners(state[0]).shape == (count, 4)


def test_corners_are_never_turned_inside_out() -> None:
    shrinking = np.array([[10.0, 10.0, 0.5, -3.0, 0, 0, 0, 0], [10.0, 10.0, -0.5, 3.0, 0, 0, 0, 0]])
    found = corners(shrinking)
    assert (found[:, 2:] >= found[:, :2]).all()
    boxes = np.array([[1.0, 2.0, 8.0, 16.0]])
    np.testing.assert_allclose(corners(np.concatenate([measured(boxes), np.zeros((1, 4))], 1)), boxes)
