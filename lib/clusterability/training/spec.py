"""What is trained: the recipe, the network that follows it, and what comes of it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields

from clusterability.base.errors import InputError
from clusterability.base.records import as_declared
from clusterability.networks.cnn import CNN
from clusterability.networks.mlp import MLP
from clusterability.networks.torchvision import Classifier
from clusterability.training.pruning import check_sparsity


@dataclass(frozen=True)
class Training:
    """How a network is trained; the defaults are the papers' (C, section 3.1 and appendix).

    Attributes
    ----------
    epochs, pruning_epochs : int
        Passes over the training examples before and during pruning; 0 pruning epochs: not pruned.
    batch_size : int
    learning_rate : float
        Of Adam with β = (0.9, 0.999), ε = 1e-7, started afresh for pruning.
    dropout : float
        Rate after every hidden layer; of a convolutional network, after the dense ones; of one with batch
        normalization, after the first of these.
    convolution_dropout : tuple of float
        Rate after every convolution, and its pool if one follows; empty: none.
    augmentation : bool
        Whether every training image is turned, shifted and flipped at random, see
        :mod:`clusterability.training.augmentation`.
    bfloat16 : bool
        Whether what convolutions and dense layers multiply is rounded to bfloat16, also where the network is
        scored: more than twice as fast on processors with instructions for it. Weights, their updates and
        the loss stay float32.
    l1, l2 : float
        Coefficients of Σ|w| and Σw² over all weights.
    first_layer_l1 : float
        Coefficient of Σ|w| on the first layer *instead of* ``l1`` and ``l2`` there, if positive: the
        released "L2 Reg" networks were trained so.
    initial_sparsity, final_sparsity : float
        Where the pruning schedule starts and ends.
    mask_interval : int
        Optimizer steps between two choices of the weights that stay.
    regrowth : bool
        Whether a removed weight can come back: new masks are then chosen from the weights as the
        optimizer left them, so it returns if one step carries it past a weight that stays; else
        from the masked weights, so that what is removed stays removed.
    initial_groups : int
        Groups of a clusterable initialization, see :func:`clusterability.networks.mlp.clusterable`; 0: none.
    initial_damping : float
        What weights between the groups are multiplied by.
    initial_first_layer : bool
        Whether the first layer is scaled too.
    cluster_gradient : float
        Coefficient λ of the mean of the smallest nontrivial Laplacian eigenvalues, see
        :mod:`clusterability.penalties.eigenvalues` (C, section 5); 0: none.
    cluster_eigenvalues : int
        How many eigenvalues that mean is over.
    cluster_interval : int
        Optimizer steps for which one computation of its derivative serves.
    cluster_offset : float
        Share of the mean degree added to every degree in that Laplacian.
    cluster_halved : bool
        Whether half the derivative is taken, as in the released experiments.
    cut_gradient : float
        Coefficient of the mean share of volume that leaves a group, of groups assigned at random before
        training, see :mod:`clusterability.penalties.given_groups`; 0: none.
    cut_groups : int
        How many groups those are.
    rescaling : bool
        Whether hidden neurons are brought to one scale before every step, see
        :func:`clusterability.networks.mlp.rescale`.
    """

    epochs: int = 20
    pruning_epochs: int = 20
    batch_size: int = 128
    learning_rate: float = 1e-3
    dropout: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    first_layer_l1: float = 0.0
    initial_sparsity: float = 0.5
    final_sparsity: float = 0.9
    mask_interval: int = 10
    regrowth: bool = False
    initial_groups: int = 0
    initial_damping: float = 0.6
    initial_first_layer: bool = False
    cluster_gradient: float = 0.0
    cluster_eigenvalues: int = 3
    cluster_interval: int = 1
    cluster_offset: float = 0.0
    cluster_halved: bool = False
    cut_gradient: float = 0.0
    cut_groups: int = 10
    rescaling: bool = False
    convolution_dropout: tuple[float, ...] = ()
    augmentation: bool = False
    bfloat16: bool = False

    def __post_init__(self) -> None:
        as_declared(self)
        # Stored keys write a rate of 0 among these without a point.
        object.__setattr__(self, "convolution_dropout", tuple(rate or 0 for rate in self.convolution_dropout))
        for name in ("batch_size", "mask_interval", "cluster_eigenvalues", "cluster_interval", "cut_groups"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)}: at least 1 is needed")
        if not 0 <= self.initial_damping <= 1:
            raise InputError(f"initial_damping {self.initial_damping:g}: it must lie between 0 and 1")
        for name in ("epochs", "pruning_epochs", "initial_groups", "l1", "l2", "first_layer_l1",
                     "cluster_gradient", "cluster_offset", "cut_gradient"):  # fmt: skip
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} {getattr(self, name):g}: it must be finite and not negative")
        for name, rates in (("dropout", (self.dropout,)), ("convolution_dropout", self.convolution_dropout)):
            for rate in rates:
                if not 0 <= rate < 1:
                    raise InputError(f"{name} {rate:g}: the rate must be at least 0 and below 1")
        if not 0 < self.learning_rate < math.inf:
            raise InputError(f"learning_rate {self.learning_rate:g}: it must be finite and positive")
        check_sparsity(self.initial_sparsity)
        check_sparsity(self.final_sparsity)

    def last_epoch(self, pruned: bool) -> int:
        """Epochs passed when training, or pruning, is done."""
        return self.epochs + (self.pruning_epochs if pruned else 0)


SHARED_IN_STACK = ("epochs", "pruning_epochs", "batch_size", "learning_rate", "initial_sparsity",
                   "final_sparsity", "mask_interval", "regrowth", "cluster_eigenvalues",
                   "cluster_interval", "cluster_offset", "cut_groups")  # fmt: skip
"""Fields of :class:`Training` in which networks of one stack must agree; the others may differ."""

_MLP_ONLY = ("first_layer_l1", "cluster_gradient", "cut_gradient", "rescaling")
_CNN_ONLY = ("convolution_dropout", "augmentation", "bfloat16")


@dataclass(frozen=True)
class NetworkSpec:
    """All that determines one network, up to the device's rounding.

    Raises
    ------
    InputError
        A setting of ``training`` that the architecture does not have.
    """

    dataset: str
    architecture: MLP | CNN | Classifier
    training: Training
    seed: int

    def __post_init__(self) -> None:
        as_declared(self)
        convolutional = isinstance(self.architecture, CNN)
        for name in _MLP_ONLY if convolutional else _CNN_ONLY:
            if getattr(self.training, name):
                kind = "multi-layer perceptrons" if convolutional else "convolutional networks"
                raise InputError(f"{name}: only {kind} have it, not {self.architecture.name}")
        n_rates = len(self.training.convolution_dropout)
        if n_rates and n_rates != len(self.architecture.channels):
            raise InputError(
                f"{n_rates} rates of convolution_dropout: {self.architecture.name} has "
                f"{len(self.architecture.channels)} convolutions"
            )

    def as_dict(self) -> dict:
        """Plain nested dictionary, without the fields of ``training`` that have their default value.

        What names a network by it keeps its name when training gains an option.
        """
        changed = {
            option.name: value
            for option in fields(Training)
            if (value := getattr(self.training, option.name)) != option.default
        }
        return {**asdict(self), "training": changed}
