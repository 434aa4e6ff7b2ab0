"""A pool whose threads share the processor."""

from threading import Barrier

import pytest
import torch

from visto.threads import for_each, pool_of


def test_each_thread_of_a_pool_works_alone_and_others_keep_theirs() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        together = Barrier(3)

        def look(_: int) -> int:
            together.wait(10)
            return torch.get_num_threads()

        with pool_of(3) as pool:
            assert list(pool.map(look, range(3))) == [1, 1, 1]
            assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("n", [0, 1, 7])
def test_each_is_done_once_and_an_error_is_not_lost(n: int) -> None:
    done: list[int] = []
    for_each(n, done.append)
    assert sorted(done) == list(range(n))

    def fail(k: int) -> None:
        raise ValueError(k)

    if n:
        with pytest.raises(ValueError, match="0"):
            for_each(n, fail)
