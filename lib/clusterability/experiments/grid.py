"""What a figure asks for: every combination of data set, condition and replicate, each a row to be."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import product
from typing import Any

from clusterability.base import files
from clusterability.base.errors import InputError, check_known
from clusterability.base.records import as_declared
from clusterability.clustering.gauge_search import check_gauge
from clusterability.clustering.measure import Measurement
from clusterability.clustering.ncut import check_n_clusters
from clusterability.data.catalogue import NONE, entry
from clusterability.experiments.store import key_of
from clusterability.networks.classifier import Classifier
from clusterability.networks.cnn import CNN
from clusterability.networks.mlp import MLP
from clusterability.training.spec import NetworkSpec, Training

KEY_VERSION = "0.1"
"""What keys of rows and networks know of the version. A literal: a release that changes no number keeps all keys."""


@dataclass(frozen=True)
class Run:
    """What is asked of one network at one moment, and how it is measured; its ``key`` names the rows."""

    condition: str  # the name of what was varied
    network: NetworkSpec  # of the data set "none": not trained on anything
    pruned: bool  # measured after pruning, or after training only
    measurement: Measurement
    trimmed: float = 0.0  # share of the first layer's weights below one optimizer step set to zero before (MLPs)
    after_epoch: int | None = None  # measured then, counted through training and pruning, instead of at the end
    kernel_norm: str = "induced"  # what an edge between two channels weighs: induced, entrywise or frobenius
    fold_normalization: bool = False  # into these norms
    gauge: str = ""  # that its neurons are rescaled to before, see clusterability.clustering.gauge_search (MLPs)
    gauge_strength: float = 0.0  # of gauges that have one
    rewound: bool = False  # the weights that are left are those of the start (MLPs)
    kind: str = "network"  # or "lesions", "conditional" (given each other), "clusters" (silenced whole), "stability"
    n_controls: int = 0  # random sets of neurons that a lesioned sub-module is compared with

    def __post_init__(self) -> None:
        as_declared(self)
        training = self.network.training
        if self.pruned and not training.pruning_epochs:
            raise InputError("0 pruning_epochs: pruned networks need at least 1")
        architecture = self.network.architecture
        architecture.check_measurable(norm=self.kernel_norm, fold=self.fold_normalization)
        for name in ("trimmed", "gauge", "rewound"):
            if getattr(self, name) and not architecture.fully_connected:
                raise InputError(f"{name} {getattr(self, name)}: {architecture.name} is convolutional")
        if self.gauge:
            check_gauge(self.gauge, self.gauge_strength)
        if self.kind in ("lesions", "conditional") and self.n_controls < 1:
            raise InputError(f"n_controls {self.n_controls}: at least 1 is needed")
        if self.kind != "network" and not architecture.fully_connected:
            raise InputError(f"{architecture.name}: only multi-layer perceptrons are lesioned")
        if self.after_epoch is None:
            return
        first, last = (training.epochs + 1, training.last_epoch(True)) if self.pruned else (0, training.epochs)
        if not first <= self.after_epoch <= last:
            state = "pruned" if self.pruned else "unpruned"
            raise InputError(f"epoch {self.after_epoch}: {state} networks are those of epochs {first} to {last}")

    @property
    def epoch(self) -> int:
        """Epochs passed when the network is measured."""
        return self.network.training.last_epoch(self.pruned) if self.after_epoch is None else self.after_epoch

    @property
    def key(self) -> str:
        """Name of everything that determines the rows but the data's content."""
        key = key_of(
            {
                "condition": self.condition,
                "network": self.network.as_dict(),
                "pruned": self.pruned,
                "measurement": self.measurement.as_dict(),
                "version": KEY_VERSION,
                **({"trimmed": self.trimmed} if self.trimmed else {}),
                **({"gauge": [self.gauge, self.gauge_strength]} if self.gauge else {}),
                **({"rewound": True} if self.rewound else {}),
                **({"epoch": self.after_epoch} if self.after_epoch is not None else {}),
                **({"kernel_norm": self.kernel_norm} if self.kernel_norm != "induced" else {}),
                **({"folded": True} if self.fold_normalization else {}),
            }
        )
        if not self.n_controls:
            return key
        conditional = {"conditional": True} if self.kind == "conditional" else {}
        return key_of({"run": key, "n_controls": self.n_controls, **conditional})


def as_released(runs: Sequence[Run]) -> list[Run]:
    """The same networks, their n-cuts as in the released experiments: with 10⁻⁸ added to the volumes of clusters."""
    return [replace(run, measurement=replace(run.measurement, volume_epsilon=1e-8)) for run in runs]


def recipes(section: str, names: Sequence[str]) -> dict[str, Mapping]:
    """Conditions of ``book/conditions.toml`` in the order chosen: the fields of ``Training`` that each changes.

    Raises
    ------
    InputError
        A name that the section lacks.
    """
    return select(_book("conditions.toml")[section], names)


def presets(page: str) -> dict[str, dict[str, Any]]:
    """The presets of a page by name, each the parameters that it changes; see ``book/presets.toml``."""
    return _book("presets.toml").get(page, {})


def preset(page: str, name: str) -> dict[str, Any]:
    """One of a page's :func:`presets`; InputError if there is no such preset."""
    known = presets(page)
    if name not in known:
        raise InputError(f"{page} has no preset {name!r}: choose from {', '.join(known) or 'none'}")
    return known[name]


def _book(name: str) -> dict[str, Any]:
    return tomllib.loads((files.project_root() / "book" / name).read_text("utf-8"))


def select(known: Mapping[str, Mapping], chosen: Sequence[str]) -> dict[str, Mapping]:
    """The chosen conditions, in the order chosen; InputError for a name that is not among ``known``."""
    for name in chosen:
        check_known("condition", name, known)
    return {name: known[name] for name in chosen}


def grid(
    datasets: Sequence[str],
    conditions: Mapping[str, Mapping],
    n_replicates: int,
    *,
    hidden: Sequence[int],
    training: Training,
    measurement: Measurement,
    seed: int,
    pruned: bool | Sequence[bool] = False,
    blocks: Sequence[Sequence[int]] = (),
    batch_norm: bool = False,
) -> list[Run]:
    """Every combination of pruning state, data set, condition and replicate.

    Parameters
    ----------
    datasets : sequence of str
    conditions : mapping of str to mapping
        For each condition's name, the fields of ``training`` that it changes; under the name of a data set, what
        it changes there instead; under "dataset", the data set that it needs, with ``{}`` for the one given.
    n_replicates : int
        Networks a condition; replicate i has the seed ``seed + i``.
    hidden : sequence of int
        Neurons of every hidden layer; inputs and outputs follow from the data set.
    training : Training
        What all conditions share.
    pruned : bool, or sequence of bool
        Whether networks are measured after pruning, or after training only.
    blocks : sequence of sequences of int
        Channels of every convolution, block by block, ahead of the hidden layers; empty: multi-layer
        perceptrons. See :class:`clusterability.networks.cnn.CNN`.
    batch_norm : bool
        Whether networks with convolutions have batch normalization.

    Raises
    ------
    InputError
        An unknown data set or field, a value out of range, or nothing to run.
    """
    _check_counts(conditions, n_replicates, seed)
    if not datasets:
        raise InputError("nothing to run: at least one data set is needed")
    runs = []
    states = pruned if isinstance(pruned, Sequence) else [pruned]
    for state, given, (condition, changes) in product(states, datasets, conditions.items()):
        name = changes.get("dataset", "{}").format(given)
        recipe = _training(condition, {**changes, **changes.get(given, {})}, training, (given, "dataset"))
        if recipe.epochs < 1:
            raise InputError("epochs 0: at least 1 is needed to learn a data set")
        chosen = architecture(name, hidden, blocks, batch_norm)
        _check_measurable(chosen, measurement)
        runs += [
            Run(condition, NetworkSpec(name, chosen, recipe, seed + replicate), state, measurement)
            for replicate in range(n_replicates)
        ]
    return runs


def untrained_grid(
    conditions: Mapping[str, Mapping],
    n_replicates: int,
    network: MLP | CNN,
    *,
    measurement: Measurement,
    seed: int,
) -> list[Run]:
    """Networks that are initialized and not trained: every combination of condition and replicate."""
    _check_counts(conditions, n_replicates, seed)
    _check_measurable(network, measurement)
    nothing = Training(epochs=0, pruning_epochs=0)
    return [
        Run(condition, NetworkSpec(NONE, network, _training(condition, changes, nothing), seed + replicate), False,
            measurement)
        for condition, changes in conditions.items()
        for replicate in range(n_replicates)
    ]  # fmt: skip


def classifier_grid(
    classifiers: Sequence[str], conditions: Mapping[str, Mapping], *, measurement: Measurement, seed: int
) -> list[Run]:
    """torchvision's classifiers as they are, batch normalization folded: every classifier in every condition.

    Parameters
    ----------
    conditions : mapping of str to mapping
        For each condition's name, its ``weights``: "random", "DEFAULT", or torchvision's name of them.
    seed : int
        Of random weights, of shuffles and of k-means.

    Raises
    ------
    InputError
        Unknown classifiers or weights, or nothing to run.
    """
    if not classifiers or not conditions:
        raise InputError("nothing to run: at least one classifier and one condition are needed")
    nothing = Training(epochs=0, pruning_epochs=0)
    return [
        Run(condition, NetworkSpec(NONE, Classifier(name, recipe["weights"]), nothing, seed), False, measurement,
            fold_normalization=True)
        for name, (condition, recipe) in product(classifiers, conditions.items())
    ]  # fmt: skip


def _check_counts(conditions: Mapping[str, Mapping], n_replicates: int, seed: int) -> None:
    if n_replicates < 1:
        raise InputError(f"n_replicates {n_replicates}: at least 1 is needed")
    if seed < 0:
        raise InputError(f"seed {seed}: it cannot be negative")
    if not conditions:
        raise InputError("nothing to run: at least one condition is needed")


def _training(condition: str, changes: Mapping, training: Training, others: Sequence[str] = ()) -> Training:
    """The recipe of a condition; what changes on other data sets only is left out."""
    known = {field.name for field in fields(Training)}
    chosen = {name: value for name, value in changes.items() if name not in others and not isinstance(value, Mapping)}
    unknown = sorted(set(chosen) - known)
    if unknown:
        raise InputError(f"condition {condition!r} changes {unknown[0]!r}, which is no field of Training")
    return Training(**{**asdict(training), **chosen})


def _check_measurable(chosen: MLP | CNN, measurement: Measurement) -> None:
    chosen.check_measurable()
    check_n_clusters(measurement.n_clusters, chosen.n_vertices)


def architecture(
    dataset: str, hidden: Sequence[int], blocks: Sequence[Sequence[int]] = (), batch_norm: bool = False
) -> MLP | CNN:
    """The network with these hidden layers that fits a data set, known without loading it.

    With ``blocks`` of convolutions, see :class:`clusterability.networks.cnn.CNN`, it is convolutional.

    Raises
    ------
    InputError
        An unknown data set, or one without images for convolutions; batch normalization without them.

    >>> architecture("mnist", [256] * 4).name
    'mlp 784-256x4-10'
    >>> architecture("mnist", [128], [[64, 64], [64]]).name
    'cnn 1x28x28-64x2-P-64-P-128-10'
    """
    known = entry(dataset)
    if blocks:
        return CNN(known.image_shape, tuple(map(tuple, blocks)), tuple(hidden), known.n_outputs, batch_norm)
    if batch_norm:
        raise InputError("batch_norm: only networks with convolutions have it, and there are no blocks")
    return MLP((known.n_features, *hidden, known.n_outputs))
