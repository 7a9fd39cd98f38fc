"""The clusterability gradient: eigenvalues of stacked networks' graphs, and their derivative by the weights.

A graph that falls into k + 1 parts has k small nontrivial Laplacian eigenvalues, so their sum is a
differentiable stand-in for the n-cut (C, section 5). An eigenvalue λ with unit eigenvector v changes by
vᵀ(dL)v. With u = D^(−1/2) v that is, for the weight between neurons i and j,

    dλ/dw_ij = sign(w_ij) · ((1 − λ)(u_i² + u_j²) − 2 u_i u_j),

two outer sums and one product of a matrix k wide for each layer: no eigensolver is differentiated, and
nothing as large as the Laplacian is built.

The sum is smooth where k takes whole groups of equal eigenvalues. Where it cuts a group in two, the sum has a
kink: this is then the derivative for one choice of eigenvectors, and in no direction does the sum rise faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from clusterability.base.errors import InputError
from clusterability.networks.stack import linear

# Residuals of squared singular values, which lie in [0, 1]: below this, sums of eigenvalues are right to
# 1e-4 or so and their derivative to a few percent; in training, to a thousandth (see the tests).
_TOLERANCE = 0.003
_MOST_STEPS = 4  # of LOBPCG, before the exact solver is asked


class Basis(NamedTuple):
    """Where the next search for eigenvectors starts; both tensors are (N, n_inner, k + 1)."""

    vectors: Tensor  # orthonormal columns on the layers of one parity, see :func:`smallest_eigenpairs`
    step: Tensor  # the direction in which they last moved; zeros at first


@dataclass
class Eigenpairs:
    """Smallest nontrivial eigenvalues of N networks' normalized Laplacians."""

    values: Tensor  # (N, k) ascending, in [0, 1]
    scaled: list[Tensor]  # (N, neurons, k), a layer each: D^(−1/2) v for unit eigenvectors v; 0 at isolated neurons
    basis: Basis
    n_vertices: Tensor  # (N,) neurons that are not isolated


def smallest_eigenpairs(
    weights: Sequence[Tensor], n_eigenvalues: int, *, offset: float = 0.0, start: Basis | None = None
) -> Eigenpairs:
    """The smallest eigenvalues of every network's graph, the trivial one left out, of weights (N, out, in).

    Odd layers are joined to even layers only, so the eigenvalues are 1 − σ with σ the singular values of the
    normalized weights between odd and even layers. They are found on the side with fewer neurons: exactly, or, given
    the ``start`` of a moment ago, by LOBPCG (Knyazev, 2001). Weights change so slowly in training that one of its
    steps a training step is nearly always enough.

    ``offset``, in mean degrees, is added to every degree: small groups of neurons then cost nearly as much when they
    are cut off as when they are not (regularized spectral clustering: Chaudhuri, Chung & Tsiatas, 2012; Zhang & Rohe,
    2018); 0: the papers' Laplacian. InputError for fewer than one eigenvalue, or more than the graph has below 1.

    >>> [weights] = [torch.block_diag(torch.ones(2, 2), torch.ones(2, 2))]
    >>> smallest_eigenpairs([weights[None]], 1).values.round(decimals=4).abs().tolist()
    [[0.0]]
    """
    sizes = [weights[0].shape[2], *(weight.shape[1] for weight in weights)]
    parity = min((0, 1), key=lambda first: sum(sizes[first::2]))
    ends = accumulate(sizes[parity::2], initial=0)
    places = {layer: slice(*place) for layer, place in zip(range(parity, len(sizes), 2), pairwise(ends), strict=True)}
    n_inner = sum(sizes[parity::2])
    if not 1 <= n_eigenvalues < n_inner:
        raise InputError(
            f"{n_eigenvalues} eigenvalues asked of layers of {', '.join(map(str, sizes))} neurons: "
            f"from 1 to {n_inner - 1} can be had"
        )
    degrees = _degrees(weights)
    n_vertices = sum((degree > 0).sum(1) for degree in degrees)
    if offset:
        mean = sum(degree.sum(1) for degree in degrees) / n_vertices
        degrees = [torch.where(degree > 0, degree + offset * mean[:, None], 0) for degree in degrees]
    scales = [degree.clamp_min(torch.finfo(degree.dtype).tiny).rsqrt() * (degree > 0) for degree in degrees]
    blocks = [
        weight.abs() * after[:, :, None] * before[:, None, :]
        for weight, (before, after) in zip(weights, pairwise(scales), strict=True)
    ]
    gram = _gram(blocks, places, n_inner)
    squares, basis = _exact(gram, n_eigenvalues + 1) if start is None else _followed(gram, start)
    singular = squares.clamp(0, 1).sqrt()[:, 1:]
    parts = {layer: basis.vectors[:, place, 1:] for layer, place in places.items()}
    smallest = torch.finfo(singular.dtype).eps
    for layer in range(1 - parity, len(sizes), 2):
        from_after = [blocks[layer].mT @ parts[layer + 1]] if layer < len(blocks) else []
        from_before = [blocks[layer - 1] @ parts[layer - 1]] if layer else []
        parts[layer] = sum(from_after + from_before) / singular.clamp_min(smallest)[:, None]
    scaled = [parts[layer] * scale[:, :, None] / 2**0.5 for layer, scale in enumerate(scales)]
    return Eigenpairs(1 - singular, scaled, basis, n_vertices)


def eigenvalue_gradient(weights: Sequence[Tensor], pairs: Eigenpairs, *, offset: float = 0.0) -> list[Tensor]:
    """Derivative (N, out, in), a layer each, of the sum of the eigenvalues by every weight, given these weights'
    ``pairs`` with this offset; 0 where the weight is 0."""
    by_degree = [((1 - pairs.values)[:, None] * u.square()).sum(2) for u in pairs.scaled]
    if offset:  # a weight also moves every other degree, by its part in the mean
        shift = offset * sum(d.sum(1) for d in by_degree) / pairs.n_vertices.clamp(min=1)
        by_degree = [d + shift[:, None] for d in by_degree]
    result = []
    for layer, weight in enumerate(weights):
        before, after = pairs.scaled[layer], pairs.scaled[layer + 1]
        sums = by_degree[layer + 1][:, :, None] + by_degree[layer][:, None, :]
        result.append(torch.baddbmm(sums, after, before.mT, alpha=-2).mul_(weight.sign()))
    return result


def _degrees(weights: Sequence[Tensor]) -> list[Tensor]:
    """Sum of |w| at every neuron (N, neurons), a layer each."""
    into = [weight.abs().sum(2) for weight in weights]
    out_of = [weight.abs().sum(1) for weight in weights]
    return [out_of[0], *(a + b for a, b in zip(into[:-1], out_of[1:], strict=True)), into[-1]]


def _gram(blocks: Sequence[Tensor], places: dict[int, slice], n_inner: int) -> Tensor:
    """B Bᵀ (N, n_inner, n_inner), where B joins the inner layers, at their ``places``, to the others."""
    gram = blocks[0].new_zeros(len(blocks[0]), n_inner, n_inner)
    for layer, place in places.items():
        if layer:  # through the layer before, with itself
            gram[:, place, place] += linear(blocks[layer - 1], blocks[layer - 1])
        if layer < len(blocks):  # through the layer after, with itself and with the next inner layer
            onward = blocks[layer].mT.contiguous()
            gram[:, place, place] += linear(onward, onward)
            if layer + 1 < len(blocks):
                both = linear(blocks[layer + 1], onward)
                gram[:, places[layer + 2], place] = both
                gram[:, place, places[layer + 2]] = both.mT
    return gram


def _exact(gram: Tensor, n_pairs: int) -> tuple[Tensor, Basis]:
    values, vectors = torch.linalg.eigh(gram)
    largest = vectors[:, :, -n_pairs:].flip(2).contiguous()
    return values[:, -n_pairs:].flip(1), Basis(largest, torch.zeros_like(largest))


def _followed(gram: Tensor, start: Basis) -> tuple[Tensor, Basis]:
    """Steps of LOBPCG until the residuals are small; exact where a few steps do not get there.

    Networks of a stack that are done wait for the others unchanged, so none depends on its neighbours.
    """
    n_pairs = start.vectors.shape[2]
    values, basis, done = _step(gram, start)
    for _ in range(_MOST_STEPS - 1):
        if done.all():
            return values, basis
        further = _step(gram, basis)
        values, basis, done = (*_chosen(done, (values, basis), further[:2]), done | further[2])
    if done.all():
        return values, basis
    return _chosen(done, (values, basis), _exact(gram, n_pairs))


def _step(gram: Tensor, start: Basis) -> tuple[Tensor, Basis, Tensor]:
    """The best vectors among the old ones, their residuals and their last step; and whether they will do (N,)."""
    old = start.vectors
    product = gram @ old
    residual = product - old * (old * product).sum(1, keepdim=True)
    trial, _ = torch.linalg.qr(torch.cat([old, _unit(residual), start.step], 2))
    product = gram @ trial
    values, mixture = torch.linalg.eigh(trial.mT @ product)
    n_pairs = old.shape[2]
    values, mixture = values[:, -n_pairs:].flip(1), mixture[:, :, -n_pairs:].flip(2)
    new = trial @ mixture
    error = (product @ mixture - new * values[:, None]).norm(dim=1).amax(1)
    return values, Basis(new, _unit(new - old @ (old.mT @ new))), error < _TOLERANCE


def _chosen(first: Tensor, a: tuple[Tensor, Basis], b: tuple[Tensor, Basis]) -> tuple[Tensor, Basis]:
    """For every network ``a`` where ``first`` (N,) holds, else ``b``."""
    basis = Basis(*(torch.where(first[:, None, None], x, y) for x, y in zip(a[1], b[1], strict=True)))
    return torch.where(first[:, None], a[0], b[0]), basis


def _unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=1, keepdim=True).clamp_min(torch.finfo(vectors.dtype).tiny)
