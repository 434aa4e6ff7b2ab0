"""What the tests of native kernels share."""

from collections.abc import Iterator

import pytest

from visto.native import library, winograd


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """They are built for this module alone; without a compiler or processor for them its tests are skipped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISTO_CACHE", str(tmp_path_factory.mktemp("cache")))
        library._library.cache_clear()
        if not winograd.can_convolve():
            pytest.skip("no AVX512-BF16, or no C compiler with OpenMP")
        yield
    library._library.cache_clear()
