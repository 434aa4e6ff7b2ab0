"""Threads that share the processor: each runs torch's operations by itself.

Without, every thread of a pool would start a team of as many threads again, which wait, spinning, for each other.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch


def pool_of(threads: int, name: str = "") -> ThreadPoolExecutor:
    """A pool of ``threads``, in each of which a torch operation takes one thread; others keep theirs."""
    ready = threading.Barrier(threads + 1)
    before = torch.get_num_threads()

    def begin() -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # it is at the first look that a thread takes the number for its own
        ready.wait()

    pool = ThreadPoolExecutor(threads, thread_name_prefix=name, initializer=begin)
    for _ in range(threads):
        pool.submit(int)
    ready.wait()
    torch.set_num_threads(before)
    return pool


def for_each(n: int, work: Callable[[int], None]) -> None:
    """Call ``work`` of 0 to before ``n``, in as many threads as torch would take. Raises what one of them does."""
    threads = torch.get_num_threads()

    def share(first: int) -> None:
        for k in range(first, n, threads):
            work(k)

    with pool_of(threads) as pool:
        deque(pool.map(share, range(threads)), maxlen=0)
