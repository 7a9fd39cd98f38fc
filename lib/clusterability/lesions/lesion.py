"""Lesions: silence a cluster's neurons in one hidden layer and see what the network loses (P, section 5).

The unit is a *sub-module*: the neurons of one cluster in one hidden layer. Its lesion sets their incoming
weights and biases to zero, so that they output nothing. What is lost is compared with what random sets of
as many neurons of that layer cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clusterability.base.errors import InputError
from clusterability.base.statistics import p_value, z_score
from clusterability.base.threads import one_thread
from clusterability.networks.mlp import linear

_ROWS = 4096  # examples × lesions in one product on a CPU, so that they stay in its cache
_ROWS_GPU = 1 << 20


@dataclass(frozen=True, eq=False)
class SubModule:
    """The neurons of one cluster in one hidden layer.

    Attributes
    ----------
    layer : int
        Hidden layers count from 1.
    cluster : int
    neurons : ndarray of int64
        Their places in the layer.
    candidates : ndarray of int64
        The layer's neurons that are not isolated, these among them.
    """

    layer: int
    cluster: int
    neurons: np.ndarray
    candidates: np.ndarray

    @property
    def share(self) -> float:
        """Of the layer's neurons that are not isolated."""
        return len(self.neurons) / len(self.candidates)


def sub_modules(labels: Sequence[np.ndarray]) -> list[SubModule]:
    """Every sub-module of a clustering, layer by layer.

    Parameters
    ----------
    labels : sequence of ndarray of int
        Cluster of every neuron, an array a layer, inputs and outputs included; −1 for isolated neurons.

    >>> layers = [np.array([0, 1]), np.array([1, 0, 1, -1]), np.array([0])]
    >>> [(m.layer, m.cluster, m.neurons.tolist(), round(m.share, 3)) for m in sub_modules(layers)]
    [(1, 0, [1], 0.333), (1, 1, [0, 2], 0.667)]
    """
    return [
        SubModule(layer, int(cluster), np.flatnonzero(own == cluster), np.flatnonzero(own >= 0))
        for layer, own in enumerate(labels[1:-1], 1)
        for cluster in np.unique(own[own >= 0])
    ]


def shuffled_labels(labels: Sequence[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """A random clustering of the same sizes: labels permuted within every layer, isolated neurons left out."""
    result = []
    for own in labels:
        own, present = own.copy(), np.flatnonzero(own >= 0)
        own[present] = rng.permutation(own[present])
        result.append(own)
    return result


class LesionedNetwork:
    """A ReLU network on a set of examples, ready to have hidden neurons silenced, many sets at a time.

    Layers up to the lesion are computed once for all lesions.

    Parameters
    ----------
    weights : sequence of ndarray (out, in)
    biases : sequence of ndarray (out,)
    x : ndarray (examples, in) of float32
    y : ndarray (examples,) of int64
    device : str

    Raises
    ------
    InputError
        A network that does not fit the examples, or without hidden layers.
    """

    def __init__(
        self,
        weights: Sequence[np.ndarray],
        biases: Sequence[np.ndarray],
        x: np.ndarray,
        y: np.ndarray,
        device: str = "cpu",
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
        self.labels = torch.as_tensor(y, device=device)
        self.class_sizes = torch.bincount(self.labels)

    def without(self, *modules: SubModule) -> LesionedNetwork:
        """The network with sub-modules silenced for good."""
        weights, biases = (
            [array[0].cpu().numpy().copy() for array in arrays] for arrays in (self.weights, self.biases)
        )
        for module in modules:
            weights[module.layer - 1][module.neurons] = 0
            biases[module.layer - 1][module.neurons] = 0
        return LesionedNetwork(weights, biases, self._x, self._y, self._device)

    def class_accuracies(self, layer: int, silenced: np.ndarray) -> np.ndarray:
        """Accuracy on every class after each of several lesions.

        Parameters
        ----------
        layer : int
            The hidden layer, from 1.
        silenced : ndarray (lesions, neurons) of bool

        Returns
        -------
        ndarray (lesions, classes) of float64
            NaN for classes without examples.
        """
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
        """What enters the neurons of the layer after the lesions: (1, lesions × examples, out).

        Few silenced neurons are subtracted from what enters without a lesion; that takes as much less
        time as they are fewer than all.
        """
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
        """Accuracy after each of several lesions; see :meth:`class_accuracies`."""
        return self.accuracy_of(self.class_accuracies(layer, silenced))

    def accuracy_of(self, class_accuracies: np.ndarray) -> np.ndarray:
        """Accuracy (...,) on all examples from those on the classes (..., classes)."""
        sizes = self.class_sizes.cpu().numpy()
        hits = np.where(sizes, np.round(class_accuracies * sizes), 0)
        return hits.sum(-1) / sizes.sum()


def cluster_accuracies(
    weights: Sequence[np.ndarray],
    biases: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    x: np.ndarray,
    y: np.ndarray,
) -> np.ndarray:
    """Accuracy of the network with one cluster silenced in all hidden layers, for every cluster (n_clusters,).

    Parameters
    ----------
    labels : sequence of ndarray of int
        As for :func:`sub_modules`; clusters without hidden neurons cost nothing.
    """
    network, modules = LesionedNetwork(weights, biases, x, y), sub_modules(labels)
    nothing = np.zeros((1, len(biases[0])), bool)
    return np.array(
        [
            network.without(*(module for module in modules if module.cluster == cluster)).accuracies(1, nothing)[0]
            for cluster in range(1 + max(int(own.max()) for own in labels))
        ]
    )


def check_fits(weights: Sequence[np.ndarray], n_inputs: int, n_classes: int) -> None:
    """Raise InputError unless a network has a hidden layer, so many inputs, and an output for every class."""
    if len(weights) < 2:
        raise InputError("a network without a hidden layer has nothing to lesion")
    if weights[0].shape[1] != n_inputs or weights[-1].shape[0] < n_classes:
        raise InputError(
            f"the network has {weights[0].shape[1]} inputs and {weights[-1].shape[0]} outputs: the data set needs "
            f"{n_inputs} and {n_classes}"
        )


@dataclass(frozen=True, eq=False)
class Lesion:
    """What a sub-module's lesion costs, beside random lesions of as many neurons of its layer.

    Attributes
    ----------
    module : SubModule
    before : float
        Test accuracy without this lesion.
    accuracy : float
        Test accuracy with it.
    class_drops : ndarray (classes,)
        Accuracy lost on every class.
    controls : ndarray (n_controls,)
        Test accuracies with random lesions instead.
    given : SubModule, optional
        What had been silenced before, for good.
    """

    module: SubModule
    before: float
    accuracy: float
    class_drops: np.ndarray
    controls: np.ndarray
    given: SubModule | None = None

    @property
    def drop(self) -> float:
        return self.before - self.accuracy

    @property
    def z(self) -> float:
        """Negative: costs more than random lesions."""
        return z_score(self.accuracy, self.controls)

    @property
    def p(self) -> float:
        """One-sided, random lesions that cost as much counted against it; :func:`p_value`."""
        return p_value(self.accuracy, self.controls)

    @property
    def released_p(self) -> float:
        """As released: random lesions that cost as much are not counted."""
        return (1 + int(np.sum(self.controls < self.accuracy - 1e-12))) / (1 + len(self.controls))


def random_sets(module: SubModule, n_sets: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Random sets of as many neurons of the sub-module's layer, isolated ones left out: (n_sets, width) of bool."""
    silenced = np.zeros((n_sets, width), bool)
    for row in silenced:
        row[rng.choice(module.candidates, len(module.neurons), replace=False)] = True
    return silenced


def lesion(
    network: LesionedNetwork,
    module: SubModule,
    n_controls: int,
    rng: np.random.Generator,
    given: SubModule | None = None,
) -> Lesion:
    """Lesion one sub-module and as many random sets of neurons.

    Parameters
    ----------
    network : LesionedNetwork
        Without ``given``, if that is named.
    n_controls : int
    given : SubModule, optional
        Silenced in ``network`` already; random sets of its own layer leave it out.
    """
    if given is not None and given.layer == module.layer:
        module = SubModule(
            module.layer, module.cluster, module.neurons, np.setdiff1d(module.candidates, given.neurons)
        )
    width = network.weights[module.layer - 1].shape[1]
    result, controls = _lesioned(network, module, random_sets(module, n_controls, width, rng))
    return Lesion(*result, controls, given)


def lesion_beside(network: LesionedNetwork, module: SubModule, other: Lesion) -> Lesion:
    """Lesion a sub-module of the same layer and size as another's, beside the same random sets."""
    width = network.weights[module.layer - 1].shape[1]
    result, _ = _lesioned(network, module, np.zeros((0, width), bool))
    return Lesion(*result, other.controls)


def _lesioned(network: LesionedNetwork, module: SubModule, sets: np.ndarray) -> tuple[tuple, np.ndarray]:
    """The first fields of a :class:`Lesion`, and the accuracies with other sets (n, neurons) silenced instead."""
    silenced = np.zeros((2, sets.shape[1]), bool)  # nothing, the sub-module
    silenced[1, module.neurons] = True
    by_class = network.class_accuracies(module.layer, np.concatenate([silenced, sets]))
    before, accuracy, *controls = network.accuracy_of(by_class)
    return (module, float(before), float(accuracy), by_class[0] - by_class[1]), np.array(controls)


def single_lesions(
    network: LesionedNetwork,
    modules: Sequence[SubModule],
    n_controls: int,
    seed: int,
    *,
    workers: int = 1,
    progress: Callable[[float], None] | None = None,
) -> list[Lesion]:
    """Every sub-module's lesion, in order; each has random numbers of its own.

    Parameters
    ----------
    workers : int
        Threads.
    progress : callable, optional
        Called with every finished share of the work.
    """

    def of(module: SubModule, rng: np.random.Generator) -> Lesion:
        return lesion(network, module, n_controls, rng)

    return list(_each(modules, of, seed, workers, progress))


def conditional_lesions(
    network: LesionedNetwork,
    modules: Sequence[SubModule],
    n_controls: int,
    seed: int,
    *,
    workers: int = 1,
    progress: Callable[[float], None] | None = None,
) -> Iterator[Lesion]:
    """Every sub-module's lesion given each of those in other layers: the latter silenced, the former
    compared with random sets.

    Pairs within a layer are left out: nothing flows between them. Parameters as :func:`single_lesions`.
    """

    def of(given: SubModule, rng: np.random.Generator) -> list[Lesion]:
        silent = network.without(given)
        others = [module for module in modules if module.layer != given.layer]
        return [lesion(silent, module, n_controls, rng, given) for module in others]

    for results in _each(modules, of, seed, workers, progress):
        yield from results


def _each(
    modules: Sequence[SubModule],
    of: Callable[[SubModule, np.random.Generator], Any],
    seed: int,
    workers: int,
    progress: Callable[[float], None] | None,
) -> Iterator[Any]:
    """What ``of`` makes of every sub-module and random numbers of its own, in order, on several threads."""

    def told(module: SubModule, rng: np.random.Generator) -> Any:
        with one_thread():
            result = of(module, rng)
        if progress is not None:
            progress(1 / len(modules))
        return result

    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(told, modules, np.random.default_rng(seed).spawn(len(modules)))
