"""Cores and threads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch's operations started by this thread run on this thread alone, denormal numbers as zero.

    Sums then always run in the same order, so results do not depend on the number of cores. Weights that an
    L2 penalty lets decay reach zero, as under TensorFlow, which the released experiments used, instead of
    lingering below 1e-38, where arithmetic is slow.
    """
    import torch  # here, for it takes a second

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)
