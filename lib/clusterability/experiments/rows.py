"""What a run's rows hold, by the run's kind: clusterability, lesions, lesions given others, silenced clusters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from clusterability.experiments.store import Exact, Numbers


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


@dataclass(frozen=True, kw_only=True)
class StabilityRow(Row):
    """A network's clusters, or those of its weights shuffled, beside other clusterings, see
    :mod:`clusterability.lesions.stability`."""

    COLUMNS = (
        f"{_WHICH} weights rand_seeds rand_noise rand_balanced rand_balanced_l1 rand_incoming test_accuracy "
        f"architecture epochs pruning_epochs {_WHENCE} rand_activations rand_gradients mutual_classes outer_labels"
    )
    ORDER = "dataset condition pruned seed n_clusters weights key"

    weights: str  # "trained", or "shuffled"
    rand_seeds: float  # adjusted Rand index with clusters found with other seeds of k-means
    rand_noise: float  # with 1 % of noise on the weights
    rand_balanced: float  # in the canonical gauges
    rand_balanced_l1: float
    rand_incoming: float
    rand_activations: Numbers  # by hidden layer, with clusters of activations; none of shuffled weights
    rand_gradients: Numbers  # with clusters of gradients
    mutual_classes: Numbers  # adjusted mutual information with the classes on which neurons are most active
    outer_labels: Numbers  # clusters of inputs and outputs, −1 of isolated ones


ROWS: dict[str, type[Row]] = {
    "network": NetworkRow, "lesions": LesionRow, "conditional": ConditionalRow, "clusters": ClustersRow,
    "stability": StabilityRow,
}  # fmt: skip
"""By the ``kind`` of a :class:`clusterability.experiments.grid.Run`."""
