"""The freedom of ReLU networks: with a hidden neuron's incoming weights and bias times a, and its outgoing weights
divided by a, they compute the same function. All such networks differ by a choice of gauge; here are canonical ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clusterability.base.errors import InputError, check_known

CANONICAL = ("balanced", "balanced-l1", "incoming")
_TOLERANCE, _MOST_ROUNDS = 1e-10, 100_000

Arrays = Sequence[np.ndarray]


def rescaled(weights: Arrays, biases: Arrays, factors: Arrays) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights (out, in) and biases (out,), first layer first, of float64, in another gauge.

    ``factors`` (n,), positive, one array a hidden layer, multiply the incoming weights and biases of its neurons.

    >>> ones = [np.ones((2, 1)), np.ones((1, 2))]
    >>> weights, biases = rescaled(ones, [np.ones(2), np.ones(1)], [np.array([2.0, 4.0])])
    >>> weights[0].ravel().tolist(), weights[1].ravel().tolist(), biases[0].tolist()
    ([2.0, 4.0], [0.5, 0.25], [2.0, 4.0])
    """
    into = [*factors, np.ones(len(weights[-1]))]
    return rescaled_weights(weights, factors), [factor * bias for factor, bias in zip(into, biases, strict=True)]


def rescaled_weights(weights: Arrays, factors: Arrays) -> list[np.ndarray]:
    """The weights alone, see :func:`rescaled`."""
    into = [*factors, np.ones(len(weights[-1]))]
    out_of = [np.ones(weights[0].shape[1]), *factors]
    return [after[:, None] * weight / before for weight, before, after in zip(weights, out_of, into, strict=True)]


def canonical(gauge: str, weights: Arrays, biases: Arrays) -> list[np.ndarray]:
    """Factors, see :func:`rescaled`, that bring a network to a gauge that depends on its function alone.

    "balanced": the 2-norms of every hidden neuron's incoming and outgoing weights are equal; gradient flow conserves
    the difference of their squares, but for biases (Du, Hu & Lee, 2018). "balanced-l1": so are the sums of their
    absolute values, which are the neuron's parts of its degree. "incoming": weights and bias of every hidden neuron
    have the 2-norm √2 (C, section 5). A neuron without incoming, or without outgoing weights is left alone.

    Raises
    ------
    InputError
        Another gauge.

    >>> [factors] = canonical("balanced", [np.array([[8.0]]), np.array([[2.0]])], [np.zeros(1), np.zeros(1)])
    >>> factors.tolist()
    [0.5]
    """
    check_known("gauge", gauge, CANONICAL)
    if gauge == "incoming":
        return _of_norm_root_two(weights, biases)
    return _balanced(weights, 2 if gauge == "balanced" else 1)


def _of_norm_root_two(weights: Arrays, biases: Arrays) -> list[np.ndarray]:
    factors = [np.ones(weights[0].shape[1])]
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        incoming = np.square(weight / factors[-1]).sum(axis=1)
        norm = np.sqrt(incoming + np.square(bias, dtype=np.float64))
        factors.append(np.sqrt(2) / np.where(incoming > 0, norm, np.sqrt(2)))
    return factors[1:]


def _balanced(weights: Arrays, order: int) -> list[np.ndarray]:
    """Layer by layer every neuron is balanced, given its neighbours, until none changes."""
    powers = [np.abs(weight, dtype=np.float64) ** order for weight in weights]
    scales = [np.ones(weight.shape[1]) for weight in weights] + [np.ones(len(weights[-1]))]  # factors to the order
    for _ in range(_MOST_ROUNDS):
        most = 0.0
        for layer in range(1, len(weights)):
            incoming = powers[layer - 1] @ (1 / scales[layer - 1])
            outgoing = scales[layer + 1] @ powers[layer]
            joined = (incoming > 0) & (outgoing > 0)
            balanced = np.sqrt(np.divide(outgoing, incoming, out=np.square(scales[layer]), where=joined))
            most = max(most, np.abs(np.log(balanced / scales[layer])).max())
            scales[layer] = balanced
        if most < _TOLERANCE:
            return [scale ** (1 / order) for scale in scales[1:-1]]
    raise InputError("no gauge balances this network: some neuron's weights lead nowhere")
