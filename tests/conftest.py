"""What all tests share."""

import os
from collections.abc import Iterator

import pytest
import torch

from visto.native import library, winograd


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on the shared real data are skipped where it is not."""
    if "VISTO_DATA" in os.environ:
        return
    for item in items:
        if item.get_closest_marker("shared_data"):
            item.add_marker(pytest.mark.skip(reason="VISTO_DATA is not set: run make data"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny nets run fastest on one thread, and tests beside each other do not fight for the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Native kernels, built for a module of tests alone: skipped without a compiler or processor for them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISTO_CACHE", str(tmp_path_factory.mktemp("cache")))
        library._library.cache_clear()
        if not winograd.can_convolve():
            pytest.skip("no AVX512-BF16, or no C compiler with OpenMP")
        yield
    library._library.cache_clear()
