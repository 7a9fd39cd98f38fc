"""What is trained: the recipe, and the network that follows it."""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from clusterability.base.errors import InputError
from clusterability.base.records import as_declared
from clusterability.data.catalogue import Dataset
from clusterability.networks.classifier import Classifier
from clusterability.networks.cnn import CNN
from clusterability.networks.mlp import MLP
from clusterability.networks.network import TrainedNetwork

# Fields of a training, which values they take, and how to say so.
_RANGES = (
    ("batch_size mask_interval cluster_eigenvalues cluster_interval cut_groups",
     lambda value: value >= 1, "at least 1 is needed"),
    ("epochs pruning_epochs initial_groups l1 l2 first_layer_l1 cluster_gradient cluster_offset cut_gradient",
     lambda value: 0 <= value < math.inf, "it must be finite and not negative"),
    ("initial_damping", lambda value: 0 <= value <= 1, "it must lie between 0 and 1"),
    ("learning_rate", lambda value: 0 < value < math.inf, "it must be finite and positive"),
    ("dropout convolution_dropout initial_sparsity final_sparsity",
     lambda value: 0 <= value < 1, "it must be at least 0 and below 1"),
)  # fmt: skip


@dataclass(frozen=True)
class Training:
    """How a network is trained; the defaults are the papers' (C, section 3.1 and appendix).
    InputError for a value out of its range.

    >>> Training(dropout=0.5).last_epoch(pruned=True)
    40
    """

    epochs: int = 20  # passes over the training examples before pruning
    pruning_epochs: int = 20  # and during it; 0: not pruned
    batch_size: int = 128
    learning_rate: float = 1e-3  # of Adam with β = (0.9, 0.999), ε = 1e-7, started afresh for pruning
    dropout: float = 0.0  # rate after every hidden layer; of CNNs, every dense one, the first only if normalized
    l1: float = 0.0  # coefficient of Σ|w| over all weights
    l2: float = 0.0  # coefficient of Σw²
    first_layer_l1: float = 0.0  # of Σ|w| there *instead of* l1 and l2, if positive: so the released "L2 Reg"
    initial_sparsity: float = 0.5  # where the pruning schedule starts
    final_sparsity: float = 0.9  # and ends
    mask_interval: int = 10  # optimizer steps between two choices of the weights that stay
    # Whether a removed weight can come back: new masks are then chosen from the weights as the optimizer left them,
    # so it returns if one step carries it past a weight that stays; else from the masked weights.
    regrowth: bool = False
    initial_groups: int = 0  # of a clusterable initialization, see networks.initialize; 0: none
    initial_damping: float = 0.6  # what weights between the groups are multiplied by
    initial_first_layer: bool = False  # whether the first layer is scaled too
    # Coefficient λ of the mean of the smallest nontrivial Laplacian eigenvalues (C, section 5), see
    # penalties.eigenvalues; 0: none.
    cluster_gradient: float = 0.0
    cluster_eigenvalues: int = 3  # how many eigenvalues that mean is over
    cluster_interval: int = 1  # optimizer steps for which one computation of its derivative serves
    cluster_offset: float = 0.0  # share of the mean degree added to every degree in that Laplacian
    cluster_halved: bool = False  # whether half the derivative is taken, as in the released experiments
    # Coefficient of the mean share of volume that leaves a group, of groups assigned at random before training, see
    # penalties.given_groups; 0: none.
    cut_gradient: float = 0.0
    cut_groups: int = 10  # how many groups those are
    rescaling: bool = False  # whether hidden neurons are brought to one scale before every step, see networks.stack
    # Whether, while pruning, that scale is of all weights times the cutoff instead of the weights that stay: what the
    # released rescaling did, which takes a pruned layer's cutoff for its mask.
    rescaling_by_cutoff: bool = False
    convolution_dropout: tuple[float, ...] = ()  # rate after every convolution and its pool, if one follows
    augmentation: bool = False  # whether training images are turned, shifted and flipped at random, see training.cnn
    # Whether what convolutions and dense layers multiply is rounded to bfloat16, also where the network is scored:
    # more than twice as fast on processors with instructions for it. Weights, updates and the loss stay float32.
    bfloat16: bool = False

    def __post_init__(self) -> None:
        as_declared(self)
        # Stored keys write a rate of 0 among these without a point.
        object.__setattr__(self, "convolution_dropout", tuple(rate or 0 for rate in self.convolution_dropout))
        for names, fits, words in _RANGES:
            for name in names.split():
                values = getattr(self, name)
                for value in values if isinstance(values, tuple) else (values,):
                    if not fits(value):
                        raise InputError(f"{name} {value:g}: {words}")

    def last_epoch(self, pruned: bool) -> int:
        """Epochs passed when training, or pruning, is done."""
        return self.epochs + (self.pruning_epochs if pruned else 0)


_SHARED_IN_STACK = ("epochs", "pruning_epochs", "batch_size", "learning_rate", "initial_sparsity",
                   "final_sparsity", "mask_interval", "regrowth", "cluster_eigenvalues",
                   "cluster_interval", "cluster_offset", "cut_groups", "rescaling_by_cutoff")  # fmt: skip
"""Fields of :class:`Training` in which networks of one stack must agree; the others may differ."""


@dataclass(frozen=True)
class NetworkSpec:
    """All that determines one network, up to the device's rounding. InputError for a setting of ``training`` that
    the architecture does not have.

    >>> NetworkSpec("mnist", MLP((784, 10)), Training(l2=5e-5), seed=0).as_dict()["training"]
    {'l2': 5e-05}
    """

    dataset: str
    architecture: MLP | CNN | Classifier
    training: Training
    seed: int

    def __post_init__(self) -> None:
        as_declared(self)
        for name in self.architecture.unsupported:
            value, neutral = getattr(self.training, name), getattr(Training, name)
            if value != neutral:
                raise InputError(f"{name} {value}: {self.architecture.name} has none of it, so it must be {neutral}")
        n_rates = len(self.training.convolution_dropout)
        if n_rates and n_rates != len(self.architecture.channels):
            raise InputError(
                f"{n_rates} rates of convolution_dropout: {self.architecture.name} has "
                f"{len(self.architecture.channels)} convolutions"
            )

    def check_fits(self, dataset: Dataset) -> None:
        """Raise InputError unless the network can learn the data set in batches of its size."""
        self.architecture.check_fits(dataset)
        n_examples, size = len(dataset.y_train), self.training.batch_size
        if self.architecture.batch_norm and self.training.last_epoch(True) and 1 in (size, n_examples % size):
            raise InputError(
                f"batch_size {size}: of {n_examples} examples it leaves a batch of one, which cannot be normalized"
            )

    def untrained(self, generator: Any) -> TrainedNetwork:
        """The network before its first step, of the random numbers of a torch.Generator."""
        start = {name: getattr(self.training, f"initial_{name}") for name in ("groups", "damping", "first_layer")}
        return self.architecture.untrained(generator, **start)

    def shared_in_stack(self) -> tuple:
        """What networks must agree in to train as one stack."""
        return self.dataset, self.architecture.name, *(getattr(self.training, name) for name in _SHARED_IN_STACK)

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
