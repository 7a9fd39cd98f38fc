"""Import torchvision also beside a build of PyTorch that it was not compiled for."""

from functools import cache
from types import ModuleType


def import_torchvision() -> ModuleType:
    """The package ``torchvision``, with its data sets and models.

    The wheels on PyPI are built against CUDA. Beside a CPU-only PyTorch of the same version their compiled
    operators do not load, and the import stops at the first shape rule for a missing one. With the operators'
    signatures declared (nothing here calls them) the rest of the package, pure Python, can be imported.
    """
    try:
        import torchvision
    except RuntimeError as failure:
        if "torchvision::nms does not exist" not in str(failure):
            raise
        _declare_missing_operators()
        import torchvision
    return torchvision


@cache  # the declarations last only as long as the library object
def _declare_missing_operators() -> object:
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library
