"""Lesions: silence a cluster's neurons in one hidden layer and see what the network loses (P, section 5).

The unit is a *sub-module*: the neurons of one cluster in one hidden layer. What its lesion costs is compared
with what random sets of as many neurons of that layer cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from clusterability.base.statistics import p_value, z_score
from clusterability.base.threads import one_thread
from clusterability.lesions.network import LesionedNetwork, SubModule, sub_modules


@dataclass(frozen=True, eq=False)
class Lesion:
    """What a sub-module's lesion costs, beside random lesions of as many neurons of its layer."""

    module: SubModule
    before: float  # test accuracy without this lesion
    accuracy: float  # test accuracy with it
    class_drops: np.ndarray  # accuracy lost on every class
    controls: np.ndarray  # test accuracies with random lesions instead
    given: SubModule | None = None  # what had been silenced before, for good

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


def single_lesions(
    network: LesionedNetwork, modules: Sequence[SubModule], n_controls: int, seed: int,
    *, workers: int = 1, progress: Callable[[float], None] | None = None,
) -> list[Lesion]:  # fmt: skip
    """Every sub-module's lesion, in order, beside ``n_controls`` random ones; each has random numbers of its own.
    ``workers`` are threads; ``progress`` is called with every finished share of the work."""
    return list(_each(modules, lambda module, rng: lesion(network, module, n_controls, rng), seed, workers, progress))


def conditional_lesions(
    network: LesionedNetwork, modules: Sequence[SubModule], n_controls: int, seed: int,
    *, workers: int = 1, progress: Callable[[float], None] | None = None,
) -> Iterator[Lesion]:  # fmt: skip
    """Every sub-module's lesion given each of those in other layers, silenced for good; see :func:`single_lesions`.
    Pairs within a layer are left out: nothing flows between them."""

    def of(given: SubModule, rng: np.random.Generator) -> list[Lesion]:
        silent = network.without(given)
        others = [module for module in modules if module.layer != given.layer]
        return [replace(lesion(silent, module, n_controls, rng), given=given) for module in others]

    for results in _each(modules, of, seed, workers, progress):
        yield from results


def _each(
    modules: Sequence[SubModule], of: Callable[[SubModule, np.random.Generator], Any], seed: int, workers: int,
    progress: Callable[[float], None] | None,
) -> Iterator[Any]:  # fmt: skip
    """What ``of`` makes of every sub-module and random numbers of its own, in order, on several threads."""

    def told(module: SubModule, rng: np.random.Generator) -> Any:
        with one_thread():
            result = of(module, rng)
        if progress is not None:
            progress(1 / len(modules))
        return result

    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(told, modules, np.random.default_rng(seed).spawn(len(modules)))


def lesion(network: LesionedNetwork, module: SubModule, n_controls: int, rng: np.random.Generator) -> Lesion:
    """Lesion one sub-module, and so many random sets of neurons beside it."""
    width = network.weights[module.layer - 1].shape[1]
    silenced = np.zeros((2 + n_controls, width), bool)  # nothing, the sub-module, random sets
    silenced[1, module.neurons] = True
    silenced[2:] = random_sets(module, n_controls, width, rng)
    by_class = network.class_accuracies(module.layer, silenced)
    before, accuracy, *controls = network.accuracy_of(by_class)
    return Lesion(module, float(before), float(accuracy), by_class[0] - by_class[1], np.array(controls))


def lesion_beside(network: LesionedNetwork, module: SubModule, other: Lesion) -> Lesion:
    """Lesion a sub-module of the same layer and size as another's, beside the same random sets."""
    return replace(lesion(network, module, 0, np.random.default_rng(0)), controls=other.controls)  # draws nothing


def random_sets(module: SubModule, n_sets: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Random sets of as many neurons of the sub-module's layer, isolated ones left out: (n_sets, width) of bool."""
    silenced = np.zeros((n_sets, width), bool)
    for row in silenced:
        row[rng.choice(module.candidates, len(module.neurons), replace=False)] = True
    return silenced


def shuffled_labels(labels: Sequence[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """A random clustering of the same sizes: labels permuted within every layer, isolated neurons left out."""
    result = [own.copy() for own in labels]
    for own in result:
        own[own >= 0] = rng.permutation(own[own >= 0])
    return result


def cluster_accuracies(
    weights: Sequence[np.ndarray], biases: Sequence[np.ndarray], labels: Sequence[np.ndarray],
    x: np.ndarray, y: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Accuracy (n_clusters,) with one cluster silenced in all hidden layers, for every cluster of ``labels``, see
    :func:`sub_modules`; clusters without hidden neurons cost nothing."""
    network, modules = LesionedNetwork(weights, biases, x, y), sub_modules(labels)
    nothing = np.zeros((1, len(biases[0])), bool)
    clusters = range(1 + max(int(own.max()) for own in labels))
    silent = (network.without(*(module for module in modules if module.cluster == k)) for k in clusters)
    return np.concatenate([left.accuracies(1, nothing) for left in silent])
