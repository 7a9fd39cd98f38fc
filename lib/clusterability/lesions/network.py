"""Networks whose hidden neurons can be silenced, cluster by cluster and layer by layer (P, section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clusterability.base.errors import InputError
from clusterability.networks.stack import linear

_ROWS = 4096  # examples × lesions in one product on a CPU, so that they stay in its cache
_ROWS_GPU = 1 << 20


@dataclass(frozen=True, eq=False)
class SubModule:
    """The neurons of one cluster in one hidden layer."""

    layer: int  # hidden layers count from 1
    cluster: int
    neurons: np.ndarray  # their places in the layer
    candidates: np.ndarray  # the layer's neurons that are not isolated, these among them

    @property
    def share(self) -> float:
        """Of the layer's neurons that are not isolated."""
        return len(self.neurons) / len(self.candidates)


def sub_modules(labels: Sequence[np.ndarray]) -> list[SubModule]:
    """Every sub-module of a clustering, layer by layer. Labels are the clusters of all neurons, an array of int a
    layer, inputs and outputs included; −1 for isolated neurons.

    >>> layers = [np.array([0, 1]), np.array([1, 0, 1, -1]), np.array([0])]
    >>> [(m.layer, m.cluster, m.neurons.tolist(), round(m.share, 3)) for m in sub_modules(layers)]
    [(1, 0, [1], 0.333), (1, 1, [0, 2], 0.667)]
    """
    return [
        SubModule(layer, int(cluster), np.flatnonzero(own == cluster), np.flatnonzero(own >= 0))
        for layer, own in enumerate(labels[1:-1], 1)
        for cluster in np.unique(own[own >= 0])
    ]


def check_fits(weights: Sequence[np.ndarray], n_inputs: int, n_classes: int) -> None:
    """Raise InputError unless a network has a hidden layer, so many inputs, and an output for every class."""
    if len(weights) < 2:
        raise InputError("a network without a hidden layer has nothing to lesion")
    if weights[0].shape[1] != n_inputs or weights[-1].shape[0] < n_classes:
        raise InputError(
            f"the network has {weights[0].shape[1]} inputs and {weights[-1].shape[0]} outputs: the data set needs "
            f"{n_inputs} and {n_classes}"
        )


class LesionedNetwork:
    """A ReLU network on examples, computed once up to any lesion; hidden neurons are silenced, many sets at a time.

    Weights are (out, in), biases (out,); x is (examples, in) of float32, y (examples,) of int64. InputError: the
    network does not fit them, is without hidden layers, or leaves the range of single precision.
    """

    def __init__(
        self, weights: Sequence[np.ndarray], biases: Sequence[np.ndarray], x: np.ndarray, y: np.ndarray, device="cpu"
    ) -> None:
        check_fits(weights, x.shape[1], int(y.max()) + 1)
        self.weights = [torch.as_tensor(weight, dtype=torch.float32, device=device)[None] for weight in weights]
        self.biases = [torch.as_tensor(bias, dtype=torch.float32, device=device)[None] for bias in biases]
        self._x, self._y, self._device = x, y, device
        self.activations = [torch.as_tensor(x, dtype=torch.float32, device=device)]
        self.sums: list[Tensor] = []  # of every layer's weighted activations, before the next ReLU
        for weight, bias in zip(self.weights, self.biases, strict=True):
            self.sums.append(linear(self.activations[-1][None], weight, bias)[0])
            self.activations.append(self.sums[-1].relu())
        vanished = any(own.any() and not single.any() for own, single in zip(weights, self.weights, strict=True))
        if vanished or not self.sums[-1].isfinite().all():
            raise InputError(
                "the network's weights or outputs are beyond single precision, in which lesions are scored: "
                "it holds numbers from 1e-38 to 3e38"
            )
        self.labels = torch.as_tensor(y, device=device)
        self.class_sizes = torch.bincount(self.labels)

    def without(self, *modules: SubModule) -> LesionedNetwork:
        """The network with the incoming weights and biases of sub-modules set to zero."""
        weights, biases = ([own[0].cpu().numpy().copy() for own in layers] for layers in (self.weights, self.biases))
        for module in modules:
            weights[module.layer - 1][module.neurons] = 0
            biases[module.layer - 1][module.neurons] = 0
        return LesionedNetwork(weights, biases, self._x, self._y, self._device)

    def class_accuracies(self, layer: int, silenced: np.ndarray) -> np.ndarray:
        """Accuracy on every class (lesions, classes) of float64 after each of several lesions, sets of neurons
        (lesions, neurons) of bool of a hidden layer, from 1; NaN for classes without examples."""
        device = self.labels.device
        hits = torch.zeros(len(silenced), len(self.class_sizes), dtype=torch.float64, device=device)
        rows = _ROWS if device.type == "cpu" else _ROWS_GPU
        n_lesions = max(1, min(len(silenced), rows // 256))
        chosen = torch.as_tensor(silenced, device=device)
        for examples in torch.arange(len(self.labels), device=device).split(max(1, rows // n_lesions)):
            labels = self.labels[examples]
            classes = torch.nn.functional.one_hot(labels, len(self.class_sizes)).double()
            for lesions in torch.arange(len(silenced), device=device).split(n_lesions):
                sums = self._sums_after(layer, examples, chosen[lesions])
                for weight, bias in zip(self.weights[layer + 1 :], self.biases[layer + 1 :], strict=True):
                    sums = linear(sums.relu_(), weight, bias)
                correct = sums[0].argmax(1).view(len(lesions), -1) == labels
                hits[lesions] += correct.double() @ classes
        return (hits / self.class_sizes).cpu().numpy()

    def _sums_after(self, layer: int, examples: Tensor, silenced: Tensor) -> Tensor:
        """What enters the neurons of the layer after the lesions: (1, lesions × examples, out). Few silenced neurons
        are subtracted from what enters without a lesion, which takes less time the fewer they are."""
        hidden, weight = self.activations[layer][examples], self.weights[layer][0]
        most = int(silenced.sum(1).max())
        if 2 * most > silenced.shape[1]:
            kept = (hidden * ~silenced[:, None]).flatten(0, 1)
            return linear(kept[None], self.weights[layer], self.biases[layer])
        # Lesions of fewer neurons than the largest also silence one that is not there.
        places = silenced.float().topk(most, dim=1).indices
        places = places.masked_fill(~silenced.gather(1, places), silenced.shape[1])
        outputs = torch.nn.functional.pad(hidden, (0, 1)).T[places]
        missing = torch.bmm(outputs.mT, torch.nn.functional.pad(weight, (0, 1)).T[places])
        return (self.sums[layer][examples] - missing).flatten(0, 1)[None]

    def accuracies(self, layer: int, silenced: np.ndarray) -> np.ndarray:
        """Accuracy (lesions,) after each of several lesions; see :meth:`class_accuracies`."""
        return self.accuracy_of(self.class_accuracies(layer, silenced))

    def accuracy_of(self, class_accuracies: np.ndarray) -> np.ndarray:
        """Accuracy (...,) on all examples from those on the classes (..., classes)."""
        sizes = self.class_sizes.cpu().numpy()
        hits = np.where(sizes, np.round(class_accuracies * sizes), 0)
        return hits.sum(-1) / sizes.sum()
