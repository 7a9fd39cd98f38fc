"""One row to be: which network, at which moment, measured how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from clusterability import __version__
from clusterability.base.errors import InputError
from clusterability.clustering.measure import Measurement
from clusterability.experiments import store as results
from clusterability.graphs.kernels import check_norm
from clusterability.networks.cnn import CNN
from clusterability.networks.mlp import MLP
from clusterability.networks.torchvision import Classifier
from clusterability.training.spec import NetworkSpec

# Releases that change numbers change the minor version; keys hold major and minor only.
KEY_VERSION = ".".join(__version__.split(".")[:2])
"""What keys of rows and networks know of the version."""

_RELEASED_VOLUME_EPSILON = 1e-8


@dataclass(frozen=True)
class Run:
    """One row to be: a network, the moment at which it is measured, and how.

    Attributes
    ----------
    condition : str
        The name of what was varied.
    network : NetworkSpec
        Of the data set "none": not trained on anything.
    pruned : bool
        Whether it is measured after pruning, or after training only.
    measurement : Measurement
    trimmed : float
        Share of the first layer's weights smaller than one optimizer step that are set to zero before
        the network is scored and measured, the smallest first.
        Of multi-layer perceptrons only.
    after_epoch : int, optional
        Measure after so many epochs, counted through training and pruning, instead of at the end.
    kernel_norm : {"induced", "entrywise", "frobenius"}
        What an edge between two channels weighs, see :func:`clusterability.graphs.kernels.kernel_norms`.
    fold_normalization : bool
        Whether batch normalization is folded into these norms, see
        :meth:`clusterability.networks.cnn.CNN.graph`.
    """

    condition: str
    network: NetworkSpec
    pruned: bool
    measurement: Measurement
    trimmed: float = 0.0
    after_epoch: int | None = None
    kernel_norm: str = "induced"
    fold_normalization: bool = False

    def __post_init__(self) -> None:
        training = self.network.training
        if self.pruned and not training.pruning_epochs:
            raise InputError("0 pruning_epochs: pruned networks need at least 1")
        check_norm(self.kernel_norm)
        architecture = self.network.architecture
        if isinstance(architecture, CNN):
            if self.trimmed:
                raise InputError(f"trimmed {self.trimmed:g}: {architecture.name} is convolutional")
        elif isinstance(architecture, MLP) and self.kernel_norm != "induced":
            raise InputError(f"kernel_norm {self.kernel_norm!r}: {architecture.name} has no kernels")
        if self.fold_normalization and not getattr(architecture, "batch_norm", isinstance(architecture, Classifier)):
            raise InputError(f"fold_normalization: {architecture.name} has no batch normalization")
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
        """Name of everything that determines the row but the data's content."""
        return results.key_of(
            {
                "condition": self.condition,
                "network": self.network.as_dict(),
                "pruned": self.pruned,
                "measurement": self.measurement.as_dict(),
                "version": KEY_VERSION,
                **({"trimmed": self.trimmed} if self.trimmed else {}),
                **({"epoch": self.after_epoch} if self.after_epoch is not None else {}),
                **({"kernel_norm": self.kernel_norm} if self.kernel_norm != "induced" else {}),
                **({"folded": True} if self.fold_normalization else {}),
            }
        )


def as_released(runs: Sequence[Run]) -> list[Run]:
    """The same networks, their n-cuts as in the released experiments: with 10⁻⁸ added to the volumes of clusters.

    See :func:`clusterability.clustering.ncut.ncut`.
    """
    return [
        replace(run, measurement=replace(run.measurement, volume_epsilon=_RELEASED_VOLUME_EPSILON)) for run in runs
    ]
