"""Rows of lesions: every sub-module of a figure's networks, and every pair of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from clusterability.base.errors import InputError
from clusterability.base.statistics import listed
from clusterability.base.threads import available_cores
from clusterability.clustering.measure import measure
from clusterability.clustering.ncut import shares
from clusterability.data.catalogue import Dataset
from clusterability.experiments import store as results
from clusterability.experiments.compute import Kind, Tell
from clusterability.experiments.runs import Run
from clusterability.graphs.layered import LayeredGraph
from clusterability.lesions.importance import SMALL
from clusterability.lesions.lesion import (
    Lesion,
    LesionedNetwork,
    SubModule,
    cluster_accuracies,
    conditional_lesions,
    lesion_beside,
    shuffled_labels,
    single_lesions,
    sub_modules,
)
from clusterability.networks.cnn import CNN
from clusterability.networks.network import TrainedNetwork
from clusterability.training.spec import NetworkSpec


@dataclass(frozen=True)
class LesionRun:
    """The lesions of one network.

    Attributes
    ----------
    run : Run
        The network, and how it is clustered.
    n_controls : int
        Random sets of neurons that a sub-module is compared with.
    conditional : bool
        Whether sub-modules are lesioned given each other instead of by themselves.

    Raises
    ------
    InputError
        No controls, or a convolutional network.
    """

    run: Run
    n_controls: int
    conditional: bool = False

    def __post_init__(self) -> None:
        if self.n_controls < 1:
            raise InputError(f"n_controls {self.n_controls}: at least 1 is needed")
        if isinstance(self.network.architecture, CNN):
            raise InputError(f"{self.network.architecture.name}: only multi-layer perceptrons are lesioned")

    @property
    def network(self) -> NetworkSpec:
        return self.run.network

    @property
    def condition(self) -> str:
        return self.run.condition

    @property
    def pruned(self) -> bool:
        return self.run.pruned

    @property
    def epoch(self) -> int:
        return self.run.epoch

    @property
    def key(self) -> str:
        """Name of everything that determines the rows but the data's content."""
        return results.key_of(
            {
                "run": self.run.key,
                "n_controls": self.n_controls,
                **({"conditional": True} if self.conditional else {}),
            }
        )


def lesion_runs(runs: Iterable[Run], n_controls: int, *, conditional: bool = False) -> list[LesionRun]:
    """The lesions of every run's network."""
    return [LesionRun(run, n_controls, conditional) for run in runs]


def _single(run: LesionRun, network: TrainedNetwork, dataset: Dataset, shared: dict, tell: Tell) -> list[dict]:
    """All sub-modules of the clustering, then those of a random one of the same sizes."""
    labels, on_test = _prepared(run, network, dataset)
    rng = np.random.default_rng([run.network.seed, 1])
    lesions = single_lesions(
        on_test, sub_modules(labels), run.n_controls, int(rng.integers(2**32)),
        workers=available_cores(), progress=tell,
    )  # fmt: skip
    random = sub_modules(shuffled_labels(labels, rng))
    beside = [lesion_beside(on_test, module, own) for module, own in zip(random, lesions, strict=True)]
    rows = [
        {**_row(run, lesion, "spectral", network, shared), "class_drops": listed(lesion.class_drops)}
        for lesion in lesions
    ]
    return rows + [{**_row(run, lesion, "random", network, shared), "class_drops": ""} for lesion in beside]


def _pairs(run: LesionRun, network: TrainedNetwork, dataset: Dataset, shared: dict, tell: Tell) -> list[dict]:
    """Pairs of sub-modules that are neither small nor a whole layer."""
    labels, on_test = _prepared(run, network, dataset)
    modules = [module for module in sub_modules(labels) if len(module.neurons) > SMALL and module.share < 1]
    seed = int(np.random.default_rng([run.network.seed, 2]).integers(2**32))
    lesions = conditional_lesions(
        on_test, modules, run.n_controls, seed, workers=available_cores(), progress=tell
    )  # fmt: skip
    return [
        {
            **_row(run, lesion, "spectral", network, shared),
            "given_layer": lesion.given.layer,
            "given_cluster": lesion.given.cluster,
            "given_accuracy": lesion.before,
        }
        for lesion in lesions
    ]


def _prepared(
    run: LesionRun, network: TrainedNetwork, dataset: Dataset
) -> tuple[Sequence[np.ndarray], LesionedNetwork]:
    return _labels(run.run, network), LesionedNetwork(network.weights, network.biases, *dataset.flat("test"))


def _labels(run: Run, network: TrainedNetwork) -> list[np.ndarray]:
    """Cluster of every neuron as the run measures it; its shuffles are not needed for that."""
    return measure(LayeredGraph.of(network.weights), replace(run.measurement, n_shuffles=0), run.network.seed).labels


def _row(run: LesionRun, lesion: Lesion, clustering: str, network: TrainedNetwork, shared: dict) -> dict:
    module: SubModule = lesion.module
    return {
        **shared,
        "n_clusters": run.run.measurement.n_clusters,
        "clustering": clustering,
        "layer": module.layer,
        "cluster": module.cluster,
        "n_neurons": len(module.neurons),
        "layer_neurons": len(module.candidates),
        "test_accuracy": network.scores["test_accuracy"],
        "accuracy": lesion.accuracy,
        "control_mean": lesion.controls.mean(),
        "control_sd": lesion.controls.std(),
        "z": lesion.z,
        "released_p": lesion.released_p,
        "p": lesion.p,
        "n_controls": run.n_controls,
    }


def _clusters(run: Run, network: TrainedNetwork, dataset: Dataset, shared: dict, tell: Tell) -> list[dict]:
    """Every cluster silenced as a whole."""
    labels = _labels(run, network)
    accuracies = cluster_accuracies(network.weights, network.biases, labels, *dataset.flat("test"))
    tell(1)
    everywhere = np.concatenate(labels)
    degree = LayeredGraph.of(network.weights).degree
    volumes = shares(everywhere[everywhere >= 0], degree[everywhere >= 0])
    order = np.argsort(-volumes, kind="stable")
    hidden = np.concatenate(labels[1:-1])
    return [
        {
            **shared,
            "n_clusters": run.measurement.n_clusters,
            "test_accuracy": network.scores["test_accuracy"],
            "cluster_drops": listed(network.scores["test_accuracy"] - accuracies[order]),
            "hidden_neurons": listed([(hidden == cluster).sum() for cluster in order]),
            "volume_shares": listed(volumes[order]),
        }
    ]


LESION_ROWS = Kind(results.LESIONS, _single, training_share=0.6)
"""Single lesions: one row a sub-module, those of a random clustering among them."""

CONDITIONAL_ROWS = Kind(results.CONDITIONAL, _pairs, training_share=0.2)
"""Conditional lesions: one row an ordered pair of sub-modules in different layers."""

CLUSTER_ROWS = Kind(results.CLUSTER_LESIONS, _clusters, training_share=0.95)
"""Whole clusters: one row a network. Their runs are those of the networks themselves."""
