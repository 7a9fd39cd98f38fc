"""What a run's rows hold, and what fills them: clusterability, lesions, lesions given others, silenced clusters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch

from clusterability.base.threads import available_cores
from clusterability.clustering.measure import Clusterability, measure
from clusterability.clustering.ncut import n_starts, shares
from clusterability.data.catalogue import Dataset
from clusterability.experiments.grid import Run
from clusterability.experiments.store import Exact, Numbers
from clusterability.graphs.graph import Graph
from clusterability.graphs.layered import LayeredGraph
from clusterability.lesions.importance import SMALL, row_of
from clusterability.lesions.lesion import (
    Lesion,
    LesionedNetwork,
    cluster_accuracies,
    conditional_lesions,
    lesion_beside,
    shuffled_labels,
    single_lesions,
    sub_modules,
)
from clusterability.networks.mlp import Stack
from clusterability.networks.network import TrainedNetwork
from clusterability.training.mlp import evaluate
from clusterability.training.pruning import trimmed

Tell = Callable[[float], None]
"""Called with every finished share of something's work; the shares sum to 1."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What all rows say: which network, and where they come from."""

    COLUMNS: ClassVar[str]  # in the order in which the table has them
    ORDER: ClassVar[str]  # what the table is sorted by

    dataset: str
    condition: str
    pruned: bool
    seed: int
    n_clusters: int
    test_accuracy: float
    architecture: str
    epochs: int
    pruning_epochs: int
    device: str
    seconds: float  # of training and measuring the network, while others shared the machine
    date: str
    version: str
    software: str
    data: str  # fingerprint of the data set
    key: str  # names everything that determines a network's rows


_WHICH = "dataset condition pruned seed n_clusters"
_WHENCE = "device seconds date version software data key"


@dataclass(frozen=True, kw_only=True)
class NetworkRow(Row):
    """A network at one moment: how clusterable it is, and how good."""

    COLUMNS = (
        f"{_WHICH} ncut shuffled_mean shuffled_sd z p train_accuracy test_accuracy train_loss test_loss "
        "running_train_accuracy penalty in_out_ratio vertices effective_clusters small_weights architecture epochs "
        f"pruning_epochs epoch null_model n_shuffles n_eigenvectors n_starts {_WHENCE} eigenvalues late_shares "
        "shuffled_ncuts volume_shares vertex_shares"
    )
    ORDER = "dataset condition pruned seed epoch n_clusters n_eigenvectors null_model n_shuffles n_starts key"

    ncut: float
    shuffled_mean: float
    shuffled_sd: float
    z: float
    p: Exact
    train_accuracy: float
    train_loss: float
    test_loss: float
    running_train_accuracy: float
    penalty: float
    in_out_ratio: float
    vertices: int  # that are not isolated
    effective_clusters: float
    small_weights: float  # share of the nonzero weights that are smaller than one full step of the optimizer
    epoch: int  # epochs passed, through training and pruning
    null_model: str
    n_shuffles: int
    n_eigenvectors: int
    n_starts: int
    eigenvalues: Numbers  # the smallest ones
    late_shares: Numbers  # how much of their eigenvectors lies in the later half of the layers
    shuffled_ncuts: Numbers
    volume_shares: Numbers  # of every cluster, the largest first
    vertex_shares: Numbers  # of the same clusters


@dataclass(frozen=True, kw_only=True)
class _Lesioned(Row):
    """A sub-module, and what its lesion costs, see :class:`clusterability.lesions.lesion.Lesion`."""

    clustering: str  # "spectral", or "random": a partition of the same sizes
    layer: int
    cluster: int
    n_neurons: int
    layer_neurons: int  # that are not isolated
    accuracy: float
    control_mean: float
    control_sd: float
    z: float
    released_p: Exact
    p: Exact
    n_controls: int


_MODULE = f"{_WHICH} clustering layer cluster n_neurons layer_neurons"
_COST = (
    "test_accuracy accuracy control_mean control_sd z released_p p n_controls architecture epochs pruning_epochs "
    f"{_WHENCE}"
)


@dataclass(frozen=True, kw_only=True)
class LesionRow(_Lesioned):
    """A sub-module of a network."""

    COLUMNS = f"{_MODULE} {_COST} class_drops"
    ORDER = "dataset condition pruned seed n_clusters clustering layer cluster key"

    class_drops: Numbers  # accuracy lost on every class; none for random clusterings


@dataclass(frozen=True, kw_only=True)
class ConditionalRow(_Lesioned):
    """An ordered pair of sub-modules: what a lesion costs once another is made."""

    COLUMNS = f"{_MODULE} given_layer given_cluster given_accuracy {_COST}"
    ORDER = "dataset condition pruned seed n_clusters clustering given_layer given_cluster layer cluster key"

    given_layer: int
    given_cluster: int
    given_accuracy: float


@dataclass(frozen=True, kw_only=True)
class ClustersRow(Row):
    """A network whose clusters are silenced one after the other in all hidden layers, the largest volume first."""

    COLUMNS = (
        f"{_WHICH} test_accuracy architecture epochs pruning_epochs {_WHENCE} cluster_drops hidden_neurons "
        "volume_shares"
    )
    ORDER = "dataset condition pruned seed n_clusters key"

    cluster_drops: Numbers  # accuracy lost
    hidden_neurons: Numbers
    volume_shares: Numbers


def _measured(run: Run, network: TrainedNetwork, dataset: Dataset | None, tell: Tell) -> Iterator[dict]:
    if run.trimmed:
        network = _trimmed(network, run, dataset)
    measured = measure(_graph(run, network), run.measurement, run.network.seed, workers=available_cores())
    tell(1)
    magnitudes = [np.abs(weight[weight != 0]) for weight in network.weights]
    small = math.nan if not magnitudes else np.mean(np.concatenate(magnitudes) < run.network.training.learning_rate)
    asked = asdict(run.measurement)
    del asked["volume_epsilon"]
    yield {
        **asked,
        "n_eigenvectors": run.measurement.n_eigenvectors or run.measurement.n_clusters,
        "n_starts": run.measurement.n_starts or n_starts(measured.n_vertices),
        "ncut": measured.ncut,
        "shuffled_mean": measured.shuffled_ncuts.mean() if run.measurement.n_shuffles else math.nan,
        "shuffled_sd": measured.shuffled_ncuts.std() if run.measurement.n_shuffles else math.nan,
        "z": measured.z,
        "p": measured.p,
        **network.scores,
        "in_out_ratio": measured.in_out_ratio,
        "vertices": measured.n_vertices,
        "effective_clusters": measured.effective_clusters,
        "small_weights": float(small),
        "epoch": run.epoch,
        "eigenvalues": measured.eigenvalues,
        "late_shares": measured.late_shares,
        "shuffled_ncuts": measured.shuffled_ncuts,
        "volume_shares": measured.volume_shares,
        "vertex_shares": measured.vertex_shares,
    }


def _trimmed(network: TrainedNetwork, run: Run, dataset: Dataset) -> TrainedNetwork:
    """The network without its smallest first-layer weights, scored anew."""
    first = trimmed(network.weights[0], run.network.training.learning_rate, run.trimmed)
    weights = [first, *network.weights[1:]]
    stack = Stack.of([TrainedNetwork(weights, network.biases)])
    scores = dict(network.scores)
    with torch.no_grad():
        for split in ("train", "test"):
            [scores[f"{split}_accuracy"]], [scores[f"{split}_loss"]] = evaluate(
                stack, *map(torch.from_numpy, dataset.flat(split))
            )
    return TrainedNetwork(weights, network.biases, scores)


def _graph(run: Run, network: TrainedNetwork) -> Graph:
    """What is clustered of a run's network."""
    spec = run.network
    return spec.architecture.graph(network, norm=run.kernel_norm, fold=run.fold_normalization, seed=spec.seed)


def _clustering(run: Run, network: TrainedNetwork) -> Clusterability:
    """The network clustered as the run measures it; its shuffles are not needed for that."""
    return measure(_graph(run, network), replace(run.measurement, n_shuffles=0), run.network.seed)


def _on_test(network: TrainedNetwork, dataset: Dataset) -> LesionedNetwork:
    return LesionedNetwork(network.weights, network.biases, *dataset.flat("test"))


def _single(run: Run, network: TrainedNetwork, dataset: Dataset, tell: Tell) -> Iterator[dict]:
    """All sub-modules of the clustering, then those of a random one of the same sizes."""
    labels, on_test = _clustering(run, network).labels, _on_test(network, dataset)
    rng = np.random.default_rng([run.network.seed, 1])
    lesions = single_lesions(
        on_test, sub_modules(labels), run.n_controls, int(rng.integers(2**32)),
        workers=available_cores(), progress=tell,
    )  # fmt: skip
    random = sub_modules(shuffled_labels(labels, rng))
    beside = [lesion_beside(on_test, module, own) for module, own in zip(random, lesions, strict=True)]
    for lesion in lesions:
        yield {**_lesion(run, network, lesion), "clustering": "spectral", "class_drops": lesion.class_drops}
    for lesion in beside:
        yield {**_lesion(run, network, lesion), "clustering": "random", "class_drops": []}


def _pairs(run: Run, network: TrainedNetwork, dataset: Dataset, tell: Tell) -> Iterator[dict]:
    """Pairs of sub-modules that are neither small nor a whole layer."""
    labels, on_test = _clustering(run, network).labels, _on_test(network, dataset)
    modules = [module for module in sub_modules(labels) if len(module.neurons) > SMALL and module.share < 1]
    seed = int(np.random.default_rng([run.network.seed, 2]).integers(2**32))
    for lesion in conditional_lesions(
        on_test, modules, run.n_controls, seed, workers=available_cores(), progress=tell
    ):
        yield {
            **_lesion(run, network, lesion),
            "clustering": "spectral",
            "given_layer": lesion.given.layer,
            "given_cluster": lesion.given.cluster,
            "given_accuracy": lesion.before,
        }


def _lesion(run: Run, network: TrainedNetwork, lesion: Lesion) -> dict:
    return {
        **row_of(lesion),
        "n_clusters": run.measurement.n_clusters,
        "test_accuracy": network.scores["test_accuracy"],
        "control_mean": lesion.controls.mean(),
        "control_sd": lesion.controls.std(),
        "n_controls": run.n_controls,
    }


def _clusters(run: Run, network: TrainedNetwork, dataset: Dataset, tell: Tell) -> Iterator[dict]:
    """Every cluster silenced as a whole."""
    labels = _clustering(run, network).labels
    accuracies = cluster_accuracies(network.weights, network.biases, labels, *dataset.flat("test"))
    tell(1)
    everywhere = np.concatenate(labels)
    degree = LayeredGraph.of(network.weights).degree
    volumes = shares(everywhere[everywhere >= 0], degree[everywhere >= 0])
    order = np.argsort(-volumes, kind="stable")
    hidden = np.concatenate(labels[1:-1])
    yield {
        "n_clusters": run.measurement.n_clusters,
        "test_accuracy": network.scores["test_accuracy"],
        "cluster_drops": network.scores["test_accuracy"] - accuracies[order],
        "hidden_neurons": [(hidden == cluster).sum() for cluster in order],
        "volume_shares": volumes[order],
    }


@dataclass(frozen=True)
class Kind:
    """What is computed of a network: its rows' type, what fills them, and training's share of the time."""

    row: type
    fill: Callable[[Run, TrainedNetwork, Any, Tell], Iterator[dict]]
    training_share: float  # for the progress bar only


KINDS = {
    "network": Kind(NetworkRow, _measured, 0.85),
    "lesions": Kind(LesionRow, _single, 0.6),
    "conditional": Kind(ConditionalRow, _pairs, 0.2),
    "clusters": Kind(ClustersRow, _clusters, 0.95),
}
"""By the ``kind`` of a :class:`clusterability.experiments.grid.Run`."""
