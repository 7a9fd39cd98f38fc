"""A clusterability penalty for anyone's PyTorch training loop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from clusterability.base.errors import InputError
from clusterability.penalties.eigenvalues import Basis, eigenvalue_gradient, smallest_eigenpairs


class ClusterabilityPenalty:
    """Mean of the smallest nontrivial Laplacian eigenvalues of a network's graph (C, section 5).

    Add λ times it to a loss, and training makes the network more clusterable. Use one penalty for one
    model: it remembers the eigenvectors of the last call and starts from them.

    Parameters
    ----------
    n_eigenvalues : int
        For k + 1 clusters, k.
    offset : float
        Share of the mean degree that is added to every degree, so that small groups are not worth
        cutting off (regularized spectral clustering: Zhang & Rohe, 2018); 0: the papers' Laplacian.
    halved : bool
        Pass on half the derivative, as the released experiments did: their λ = 0.1 is 0.05 without.

    Raises
    ------
    InputError
        An option out of range.

    >>> model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    >>> penalty = ClusterabilityPenalty(n_eigenvalues=3, offset=1.0)
    >>> value = penalty(model)
    >>> value.backward()
    >>> value.shape, model[0].weight.grad.shape
    (torch.Size([]), torch.Size([16, 8]))
    """

    def __init__(self, n_eigenvalues: int = 3, *, offset: float = 0.0, halved: bool = False) -> None:
        if n_eigenvalues < 1:
            raise InputError(f"n_eigenvalues {n_eigenvalues}: at least 1 is needed")
        if not 0 <= offset < math.inf:
            raise InputError(f"offset {offset:g}: it must be finite and not negative")
        self.n_eigenvalues, self.offset, self.halved = n_eigenvalues, offset, halved
        self._basis: Basis | None = None

    def __call__(self, model: nn.Module | Sequence[Tensor]) -> Tensor:
        """The penalty, a scalar between 0 and 1 that can be differentiated once: of a module whose ``nn.Linear``
        layers are a chain in the order in which it lists them, or of their weights (out, in).

        InputError for weights that do not chain or are not finite, layers that are not linear, or more eigenvalues
        than the layers allow.
        """
        weights = linear_weights(model) if isinstance(model, nn.Module) else list(model)
        _check_chain(weights)
        return _MeanEigenvalue.apply(self, *weights)


class _MeanEigenvalue(torch.autograd.Function):
    """The penalty's value, and its closed derivative."""

    @staticmethod
    def forward(context: Any, penalty: ClusterabilityPenalty, *weights: Tensor) -> Tensor:
        stacked = [weight[None].float() if weight.dtype.itemsize < 4 else weight[None] for weight in weights]
        start = penalty._basis if penalty._basis and _suits(penalty._basis, stacked, penalty.n_eigenvalues) else None
        pairs = smallest_eigenpairs(stacked, penalty.n_eigenvalues, offset=penalty.offset, start=start)
        penalty._basis = pairs.basis
        context.save_for_backward(*eigenvalue_gradient(stacked, pairs, offset=penalty.offset))
        context.dtypes = [weight.dtype for weight in weights]
        context.factor = (0.5 if penalty.halved else 1.0) / penalty.n_eigenvalues
        return pairs.values.mean()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        gradients = zip(context.saved_tensors, context.dtypes, strict=True)
        return None, *((outer * context.factor * gradient[0]).to(dtype) for gradient, dtype in gradients)


def linear_weights(model: nn.Module) -> list[Tensor]:
    """Weights of a model's linear layers, in the order in which it lists them; InputError if it has none, one has no
    weights yet, or another layer has a weight matrix or kernel."""
    weights = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            if isinstance(module.weight, nn.parameter.UninitializedParameter):
                raise InputError(f"layer {name!r} has no weights yet: run the model once")
            weights.append(module.weight)
        elif any(parameter.ndim > 1 for parameter in module.parameters(recurse=False)):
            raise InputError(f"layer {name!r} is a {type(module).__name__}: only nn.Linear layers have a penalty")
    if not weights:
        raise InputError(f"{type(model).__name__} has no nn.Linear layer")
    return weights


def _check_chain(weights: Sequence[Tensor]) -> None:
    if not weights:
        raise InputError("no weights: at least one matrix (out, in) is needed")
    for layer, weight in enumerate(weights):
        if weight.ndim != 2 or not weight.is_floating_point():
            raise InputError(
                f"layer {layer} is {weight.dtype} of shape {tuple(weight.shape)}: a real matrix is needed"
            )
        if layer and weight.shape[1] != weights[layer - 1].shape[0]:
            raise InputError(
                f"layers {layer - 1} and {layer} do not chain: {weights[layer - 1].shape[0]} outputs meet "
                f"{weight.shape[1]} inputs"
            )
        if not torch.isfinite(weight).all():
            raise InputError(f"layer {layer} holds weights that are NaN or infinite")


def _suits(basis: Basis, weights: Sequence[Tensor], n_eigenvalues: int) -> bool:
    """Whether the last call's basis can start a search on these weights (1, out, in)."""
    sizes = [weights[0].shape[2], *(weight.shape[1] for weight in weights)]
    shape = (1, min(sum(sizes[0::2]), sum(sizes[1::2])), n_eigenvalues + 1)
    like, last = weights[0], basis.vectors
    return (last.shape, last.dtype, last.device) == (shape, like.dtype, like.device)
