"""A network of your own: its graph, its clusters, how they compare with chance, and what lesions of them cost.

What names a network here: a file of a multi-layer perceptron (``.npz``, ``.safetensors``, a torch state_dict); a
model by name (``torchvision:resnet18:random``, ``module.path:factory``); a ``torch.nn.Module``; weight matrices
(out, in), first layer first; or one symmetric adjacency. Imported by name from ``clusterability``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import scipy.sparse

from clusterability.base.errors import InputError, check_known
from clusterability.base.threads import available_cores
from clusterability.clustering import ncut as partitions
from clusterability.clustering.measure import Clusterability, Measurement
from clusterability.clustering.measure import measure as measured
from clusterability.clustering.ncut import Clustering, spectral_clustering
from clusterability.graphs.gauge import CANONICAL, canonical, rescaled_weights
from clusterability.graphs.graph import Graph, MatrixGraph
from clusterability.graphs.layered import LayeredGraph
from clusterability.networks.files import read_network

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    Network: TypeAlias = str | Path | nn.Module | Sequence[np.ndarray] | np.ndarray | scipy.sparse.sparray | Graph


def graph(
    network: Network,
    *,
    architecture: str | None = None,
    input_shape: Sequence[int] | None = None,
    part: str | None = None,
    input_layer: bool | None = None,
    norm: str | None = None,
    fold: bool | None = None,
    gauge: str | None = None,
    seed: int = 0,
) -> Graph:
    """The weight graph of a network (C, section 2.1).

    Parameters
    ----------
    network : str, Path, nn.Module, sequence of ndarray, adjacency, or Graph
        See the module's head.
    architecture : str, optional
        torchvision's classifier whose state_dict the file ``network`` is.
    input_shape : sequence of int, optional
        Of one example, of a model; by default (3, 224, 224) for torchvision's, else what a first linear layer reads.
    part : {"convolutional", "dense", "all"}, optional
        Of a model, whose units are vertices; by default the convolutions', or all of a model without any.
    input_layer : bool, optional
        Whether what the part reads from outside is in the graph; by default only without convolutions.
    norm : {"induced", "entrywise", "frobenius"}, optional
        What the edge of a kernel weighs; by default the induced norm.
    fold : bool, optional
        Whether batch normalization scales weights; by default it does.
    gauge : {"balanced", "balanced-l1", "incoming"}, optional
        That an MLP's hidden neurons, taken to be ReLU, are rescaled to, see
        :func:`clusterability.graphs.gauge.canonical`; by default they are as they are.
    seed : int
        Of random weights, where the network's name asks for them.

    Raises
    ------
    InputError
        A network or an option that cannot be used.

    >>> graph([np.ones((3, 2)), np.ones((1, 3))]).layer_sizes
    (2, 3, 1)
    """
    options: dict[str, Any] = {
        "input_shape": input_shape,
        "part": part,
        "input_layer": input_layer,
        "norm": norm,
        "fold": fold,
    }
    if gauge is not None:
        check_known("gauge", gauge, CANONICAL)
    if isinstance(network, str | Path):
        named = ":" in str(network) and not Path(network).exists() and _is_name(str(network))
        if named and architecture:
            raise InputError(f"--architecture is for a file, but {network} names a model already")
        if named or architecture:
            _refuse({"gauge": gauge}, f"{network} is a model", "multi-layer perceptrons")
            return _graph_by_name(network, architecture, seed, **options)
        _refuse(options, f"{network} is taken for an MLP's file")
        return _in_gauge(*read_network(Path(network)), gauge)
    if "torch" in sys.modules and isinstance(network, sys.modules["torch"].nn.Module):
        _refuse({"gauge": gauge}, "the network is a model", "multi-layer perceptrons")
        return _graph_of_model(network, **options)
    _refuse(options | {"architecture": architecture}, "the network is given by its matrices")
    if not isinstance(network, list | tuple):
        _refuse({"gauge": gauge}, "the network is given as a graph", "multi-layer perceptrons")
    if hasattr(network, "without_isolated"):
        return cast("Graph", network)
    if scipy.sparse.issparse(network) or (isinstance(network, np.ndarray) and network.ndim == 2):
        return MatrixGraph.of(network)
    matrices = [np.asarray(matrix) for matrix in network]
    return _in_gauge(matrices, [np.zeros(len(matrix)) for matrix in matrices], gauge)


def _in_gauge(weights: list[np.ndarray], biases: list[np.ndarray], gauge: str | None) -> LayeredGraph:
    as_given = LayeredGraph.of(weights)  # refuses what is no network
    if gauge is None:
        return as_given
    return LayeredGraph.of(rescaled_weights(weights, canonical(gauge, weights, biases)))


def _refuse(options: dict[str, Any], reason: str, kind: str = "models") -> None:
    for name, value in options.items():
        if value is not None:
            raise InputError(f"--{name.replace('_', '-')} is for {kind}, but {reason}")


def _is_name(text: str) -> bool:
    from clusterability.networks.torchvision import is_name

    return is_name(text)


def _graph_by_name(network: str | Path, architecture: str | None, seed: int, **options: Any) -> Graph:
    from clusterability.graphs.channels import check_norm, check_part
    from clusterability.networks import torchvision as models
    from clusterability.networks.classifier import IMAGE

    check_part(options["part"])
    check_norm(options["norm"] or "induced")
    if isinstance(options["input_shape"], str):
        options["input_shape"] = models.parse_shape(options["input_shape"])
    if architecture:
        model = models.torchvision_model_from(Path(network), architecture)
    else:
        model = models.by_name(str(network), seed)
    if architecture or str(network).startswith(models.PREFIX):
        options["input_shape"] = options["input_shape"] or IMAGE
    return _graph_of_model(model, **options)


def _graph_of_model(
    model: nn.Module, *, input_shape: Sequence[int] | None, part: str | None, input_layer: bool | None,
    norm: str | None, fold: bool | None,
) -> Graph:  # fmt: skip
    from clusterability.graphs.channels import channel_graph
    from clusterability.graphs.tracing import trace
    from clusterability.networks.torchvision import width

    layers = trace(model, tuple(input_shape or width(model)), fold_normalization=fold is not False)
    return channel_graph(layers, part=part, input_layer=input_layer, norm=norm or "induced")


def cluster(network: Network, n_clusters: int = 12, *, seed: int = 0, **options: Any) -> Clustering:
    """Spectral clustering of a network's graph, without its isolated vertices (C, section 2.2).

    Parameters
    ----------
    network, **options
        As for :func:`graph`.
    n_clusters, seed : int

    Returns
    -------
    Clustering with ``labels`` (n_vertices,) and ``ncut``

    >>> blocks = np.kron(np.eye(2), np.ones((3, 3)))
    >>> cluster(blocks, 2).labels.tolist()
    [0, 0, 0, 1, 1, 1]
    """
    kept, _ = graph(network, seed=seed, **options).without_isolated()
    partitions.check_n_clusters(n_clusters, kept.n_vertices)
    return spectral_clustering(kept, n_clusters, seed)


def ncut(network: Network, labels: np.ndarray | Sequence[np.ndarray], **options: Any) -> float:
    """Normalized cut of a partition of a network's vertices (C, section 2.2).

    Parameters
    ----------
    labels : ndarray (n_vertices,) of int, or one a layer
        Cluster of every vertex; negative ones are left out, as isolated neurons are.

    >>> ncut([np.eye(2)], [np.array([0, 1]), np.array([0, 1])])
    0.0
    """
    whole = graph(network, **options)
    flat = np.concatenate([np.ravel(layer) for layer in labels]) if isinstance(labels, list | tuple) else labels
    if len(flat) != whole.n_vertices:
        raise InputError(f"{len(flat)} labels for a graph of {whole.n_vertices} vertices: one each is needed")
    kept, present = whole.without_isolated()
    return partitions.ncut(kept, np.asarray(flat)[np.concatenate(present)])


def measure(
    network: Network,
    n_clusters: int = 12,
    n_shuffles: int = 50,
    seed: int = 0,
    *,
    null_model: str = "layer",
    progress: Callable[[], None] | None = None,
    **options: Any,
) -> Clusterability:
    """How clusterable a network is, and how that compares with its shuffles (C, sections 2.2 and 3).

    Parameters
    ----------
    network, **options
        As for :func:`graph`.
    n_clusters, n_shuffles : int
    seed : int
        Of k-means, of shuffles, and of random weights.
    null_model : {"layer", "nonzero", "incoming", "outgoing", "strengths", "swapped"}
        What is shuffled, see :func:`clusterability.graphs.null_models.shuffled`.
    progress : callable, optional
        Called after every clustering.

    Returns
    -------
    Clusterability with ``ncut``, ``z``, ``p``, ``labels`` and more

    Raises
    ------
    InputError
        A network or an option that cannot be used, or more clusters than connected neurons.

    >>> rng = np.random.default_rng(0)
    >>> result = measure([rng.normal(size=(30, 20)), rng.normal(size=(10, 30))], n_clusters=4, n_shuffles=20)
    >>> 0 < result.ncut < 4, result.n_vertices
    (True, 60)
    """
    measurement = Measurement(n_clusters, n_shuffles, null_model)
    found = graph(network, seed=seed, **options)
    return measured(found, measurement, seed, workers=available_cores(), progress=progress)


def lesion(
    network: str | Path | tuple[Sequence[np.ndarray], Sequence[np.ndarray]],
    dataset: str,
    n_clusters: int = 10,
    n_controls: int = 100,
    seed: int = 0,
    *,
    progress: Callable[[int], Callable[[], None]] | None = None,
) -> pd.DataFrame:
    """Silence a multi-layer perceptron's clusters, layer by layer, and see what it loses (P, section 5).

    Parameters
    ----------
    network : str, Path, or pair of sequences of ndarray
        A file, see :func:`graph`, or matrices (out, in) and biases (out,). Hidden neurons are taken to be ReLU.
    dataset : str
        On whose test examples the network is scored.
    n_clusters, seed : int
    n_controls : int
        Random sets of neurons that each sub-module is compared with.
    progress : callable, optional
        Given the number of sub-modules, what to call after each.

    Returns
    -------
    DataFrame with a row a sub-module, see :func:`clusterability.lesions.importance.classified`

    Raises
    ------
    InputError
        A network that cannot be read, does not fit the data set, or has fewer connected neurons than clusters.
    """
    import pandas as pd

    from clusterability.data import load as data
    from clusterability.data.catalogue import entry
    from clusterability.lesions import importance
    from clusterability.lesions.lesion import single_lesions
    from clusterability.lesions.network import LesionedNetwork, check_fits, sub_modules

    if n_controls < 1:
        raise InputError(f"{n_controls} random lesions asked for: at least 1 is needed")
    measurement = Measurement(n_clusters, n_shuffles=0)
    weights, biases = read_network(Path(network)) if isinstance(network, str | Path) else network
    check_fits(weights, *entry(dataset).dimensions)
    loaded = data.load(dataset)
    if loaded.regression:
        raise InputError(f"{dataset} is a regression: lesions are scored by accuracy, on classes")
    labels = measured(LayeredGraph.of(weights), measurement, seed).labels
    on_test = LesionedNetwork(weights, biases, *loaded.flat("test"))
    modules = sub_modules(labels)
    tell = progress(len(modules)) if progress else lambda: None
    made = single_lesions(on_test, modules, n_controls, seed, workers=available_cores(), progress=lambda _: tell())
    return importance.classified(pd.DataFrame(map(importance.row_of, made)))
