"""A figure's experiment: a grid of network specifications × replicates, computed once and kept.

Result rows are kept in a table under a key of specification and measurement. What has a matching key is
not computed again, and what is finished is on disk at once, so a run that is killed goes on where it
stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import product

import pandas as pd
import torch

from clusterability.base import files as paths
from clusterability.base.errors import InputError
from clusterability.base.progress import say
from clusterability.clustering.measure import Measurement
from clusterability.clustering.ncut import check_n_clusters
from clusterability.data import load as data
from clusterability.data.catalogue import NONE, entry
from clusterability.experiments import store as results
from clusterability.experiments.compute import NETWORK_ROWS, Kind, compute
from clusterability.experiments.runs import Run
from clusterability.networks.cnn import CNN, check_channels
from clusterability.networks.mlp import MLP
from clusterability.networks.torchvision import Classifier
from clusterability.training.spec import NetworkSpec, Training


def grid(
    *,
    datasets: Sequence[str],
    conditions: Mapping[str, Mapping],
    n_replicates: int,
    hidden: Sequence[int],
    training: Training,
    pruned: bool,
    measurement: Measurement,
    seed: int,
    blocks: Sequence[Sequence[int]] = (),
    batch_norm: bool = False,
) -> list[Run]:
    """Every combination of data set, condition and replicate.

    Parameters
    ----------
    datasets : sequence of str
    conditions : mapping of str to mapping
        For each condition's name, the fields of ``training`` that it changes.
    n_replicates : int
        Networks a condition; replicate i has the seed ``seed + i``.
    hidden : sequence of int
        Neurons of every hidden layer; inputs and outputs follow from the data set.
    training : Training
        What all conditions share.
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
    trainings = _trainings(conditions, training, n_replicates, seed)
    if not datasets:
        raise InputError("nothing to run: at least one data set is needed")
    if any(recipe.epochs < 1 for recipe in trainings.values()):
        raise InputError("epochs 0: at least 1 is needed to learn a data set")
    architectures = {name: architecture(name, hidden, blocks, batch_norm) for name in datasets}
    for chosen in architectures.values():
        _check_measurable(chosen, measurement)
    return [
        Run(
            condition,
            NetworkSpec(name, architectures[name], trainings[condition], seed + replicate),
            pruned,
            measurement,
        )
        for name, condition, replicate in product(datasets, trainings, range(n_replicates))
    ]


def untrained_grid(
    *,
    conditions: Mapping[str, Mapping],
    n_replicates: int,
    sizes: Sequence[int] = (),
    measurement: Measurement,
    seed: int,
    cnn: CNN | None = None,
) -> list[Run]:
    """Networks that are initialized and not trained: every combination of condition and replicate.

    Parameters
    ----------
    sizes : sequence of int
        Neurons of every layer, inputs and outputs included; for the others see :func:`grid`.
    cnn : CNN, optional
        A convolutional network, instead of the sizes of a multi-layer perceptron.

    Raises
    ------
    InputError
        As :func:`grid`.
    """
    trainings = _trainings(conditions, Training(epochs=0, pruning_epochs=0), n_replicates, seed)
    if cnn is not None and sizes:
        raise InputError(f"sizes {list(sizes)} and {cnn.name}: choose one of the two")
    chosen = cnn or MLP(tuple(sizes))
    _check_measurable(chosen, measurement)
    return [
        Run(condition, NetworkSpec(NONE, chosen, trainings[condition], seed + replicate), False, measurement)
        for condition, replicate in product(trainings, range(n_replicates))
    ]


def classifier_grid(
    *, classifiers: Sequence[str], conditions: Mapping[str, str], measurement: Measurement, seed: int
) -> list[Run]:
    """torchvision's classifiers as they are, batch normalization folded: every classifier in every condition.

    Parameters
    ----------
    conditions : mapping of str to str
        Weights by the name of the condition: "random", "DEFAULT", or torchvision's name of them.
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
        Run(
            condition, NetworkSpec(NONE, Classifier(name, weights), nothing, seed), False, measurement,
            fold_normalization=True,
        )
        for name, (condition, weights) in product(classifiers, conditions.items())
    ]  # fmt: skip


def _check_measurable(chosen: MLP | CNN, measurement: Measurement) -> None:
    if isinstance(chosen, CNN):
        check_channels(chosen)
    check_n_clusters(measurement.n_clusters, chosen.n_vertices)


def _trainings(
    conditions: Mapping[str, Mapping], training: Training, n_replicates: int, seed: int
) -> dict[str, Training]:
    """The recipe of every condition."""
    if n_replicates < 1:
        raise InputError(f"n_replicates {n_replicates}: at least 1 is needed")
    if seed < 0:
        raise InputError(f"seed {seed}: it cannot be negative")
    if not conditions:
        raise InputError("nothing to run: at least one condition is needed")
    known = {field.name for field in fields(Training)}
    trainings = {}
    for condition, changes in conditions.items():
        unknown = sorted(set(changes) - known)
        if unknown:
            raise InputError(f"condition {condition!r} changes {unknown[0]!r}, which is no field of Training")
        trainings[condition] = Training(**{**asdict(training), **changes})
    return trainings


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
        return CNN(known.image_shape, blocks, hidden, known.n_outputs, batch_norm)
    if batch_norm:
        raise InputError("batch_norm: only networks with convolutions have it, and there are no blocks")
    return MLP((known.n_features, *hidden, known.n_outputs))


def select(known: Mapping[str, Mapping], chosen: Sequence[str]) -> dict[str, Mapping]:
    """The chosen conditions, in the order chosen.

    Raises
    ------
    InputError
        A name that is not among ``known``.
    """
    for name in chosen:
        if name not in known:
            raise InputError(f"no condition is called {name!r}: choose from {', '.join(known)}")
    return {name: known[name] for name in chosen}


def check_device(device: str) -> None:
    """Raise InputError unless PyTorch can compute on ``device``."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as failure:
        raise InputError(f"device {device!r} cannot be used here: try 'cpu'") from failure


@dataclass(frozen=True)
class Settings:
    """What a notebook runs: a preset's values, some of them replaced by the reader.

    Attributes
    ----------
    values : dict
    store : str
        Where new rows go: the preset's name, or "custom" if the reader replaced a value.
    """

    values: dict
    store: str

    def __getattr__(self, name: str):
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(name) from None


def settings(presets: Mapping[str, Mapping], preset: str, **replacements) -> Settings:
    """The values of a preset, with those replaced that are not None.

    Raises
    ------
    InputError
        There is no such preset, there are no shuffles to compare with, or no epochs between measurements.

    >>> chosen = settings({"paper": {"epochs": 20, "seed": 0}}, "paper", epochs=None, seed=3)
    >>> chosen.epochs, chosen.seed, chosen.store
    (20, 3, 'custom')
    """
    if preset not in presets:
        raise InputError(f"no preset is called {preset!r}: choose from {', '.join(presets)}")
    given = {name: value for name, value in replacements.items() if value is not None}
    values = {**presets[preset], **given}
    for name in ("n_shuffles", "every"):
        if values.get(name, 1) < 1:
            raise InputError(f"{name} {values[name]}: at least 1 is needed")
    return Settings(values, preset if values == dict(presets[preset]) else "custom")


def run(
    figure: str,
    runs: Sequence[Run],
    *,
    kind: Kind = NETWORK_ROWS,
    shared: Sequence[str] = (),
    store: str = "paper",
    device: str = "cpu",
    recompute: bool = False,
) -> pd.DataFrame:
    """Rows of all runs: those at hand reused, the others computed and stored.

    Parameters
    ----------
    figure, store : str
        Name the table of new rows, see :func:`clusterability.base.files.results_file`; the committed
        table is read as well.
    runs : sequence of Run
        Or of what suits ``kind``.
    kind : Kind
        What is computed of every network.
    shared : sequence of str
        Figures whose rows serve here too, where the networks are the same.
    device : str
        Where networks train, in PyTorch's words; rows computed elsewhere are reused all the same.
    recompute : bool
        Compute every row, and train every network, anew.

    Returns
    -------
    DataFrame with the columns of the kind's schema, the rows of every run, in their order
        Seconds, dates and devices are those of the computation, not of this call.

    Raises
    ------
    InputError
        A device that is not there, or a data set that cannot be had, before any long work.
    """
    check_device(device)
    places = product((figure, *shared), (store, "paper"))
    tables = list(dict.fromkeys(paths.results_file(name, place) for name, place in places))
    names = {run.network.dataset: None for run in runs}
    prints = {name: data.fingerprint(name) for name in names}
    stored = results.read_all(*tables, schema=kind.schema)
    reusable = set() if recompute else _reusable(stored, prints)
    missing = [run for run in runs if run.key not in reusable]
    say(f"{figure}: {len(runs) - len(missing)} of {len(runs)} rows at hand, {len(missing)} to compute")
    if missing:
        compute(missing, kind, device, recompute, lambda rows: results.merge(tables[0], rows, kind.schema))
        stored = results.read_all(*tables, schema=kind.schema)
    rows = stored.set_index("key", drop=False)
    return rows.loc[[run.key for run in runs]].reset_index(drop=True)


def at_hand(
    figure: str, runs: Sequence[Run], *, kind: Kind = NETWORK_ROWS, shared: Sequence[str] = ()
) -> pd.DataFrame:
    """The rows of those runs that are under version control already, in their order; nothing is computed.

    ``shared`` as for :func:`run`.
    """
    tables = [paths.results_file(name, "paper") for name in (figure, *shared)]
    rows = results.read_all(*tables, schema=kind.schema).set_index("key", drop=False)
    return rows.loc[[run.key for run in runs if run.key in rows.index]].reset_index(drop=True)


def _reusable(table: pd.DataFrame, prints: Mapping[str, str | None]) -> set[str]:
    """Keys of stored rows computed from the data at hand; without data at hand, of all stored rows."""
    known = {name: fingerprint for name, fingerprint in prints.items() if fingerprint is not None}
    same = table["dataset"].map(known).fillna(table["data"]) == table["data"]
    return set(table.loc[same, "key"])
