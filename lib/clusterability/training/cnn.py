"""Train convolutional networks: one a thread on a CPU, one after the other on a GPU."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from clusterability.base.errors import InputError
from clusterability.base.threads import available_cores
from clusterability.data.catalogue import Dataset
from clusterability.networks.cnn import CNN, Parameters, clusterable_weights, initialize, logits
from clusterability.networks.network import SCORES, States, TrainedNetwork
from clusterability.training.augmentation import augmented
from clusterability.training.checkpoint import Checkpoint
from clusterability.training.loop import (
    Phases,
    Progress,
    Randomness,
    Timed,
    dropout_thresholds,
    random_bits,
    side_by_side,
)
from clusterability.training.spec import NetworkSpec, Training

_Data = dict[str, tuple[Tensor, Tensor]]
"""Images (examples, height, width, channels) and targets of both splits, on the training device."""


def train_images(
    specs: Sequence[NetworkSpec],
    dataset: Dataset,
    device: str = "cpu",
    *,
    keep_epochs: Sequence[int] = (),
    workers: int | None = None,
    progress: Progress | None = None,
    checkpoints: Sequence[Checkpoint] = (),
    timed: Timed | None = None,
) -> Iterator[tuple[int, States]]:
    """Train convolutional networks and yield each with its position in ``specs`` as soon as it is done.

    What is kept, and the other parameters, are those of :func:`clusterability.training.train.train`; but every
    network trains by itself, so nothing needs to agree between them.

    Raises
    ------
    InputError
        Networks that are not convolutional, or that do not fit the data set.
    """
    _check(specs, dataset)
    if not specs:
        return
    data: _Data = {}
    for split in ("train", "test"):
        x, y = dataset.images(split)
        images = torch.from_numpy(x).permute(0, 2, 3, 1).contiguous()
        data[split] = images.to(device), torch.from_numpy(y).to(device)

    def train_one(positions: Sequence[int], tell: Progress) -> list[States]:
        spec = specs[positions[0]]
        randomness = Randomness(spec.seed, device)
        with torch.no_grad():
            parameters = _initial(spec, randomness).to(device)
            checkpoint = checkpoints[positions[0]] if checkpoints else None
            return _ImagePhases(spec, parameters, randomness, data, keep_epochs, tell, checkpoint).results()

    workers = workers or (available_cores() if torch.device(device).type == "cpu" else 1)
    yield from side_by_side([(position,) for position in range(len(specs))], train_one, workers, progress, timed)


def untrained_images(spec: NetworkSpec) -> TrainedNetwork:
    """The network before its first step, without scores: no data are needed."""
    weights, biases, normalizations = _initial(spec, Randomness(spec.seed, "cpu")).arrays()
    return TrainedNetwork(weights, biases, dict.fromkeys(SCORES, math.nan), normalizations)


def _check(specs: Sequence[NetworkSpec], dataset: Dataset) -> None:
    for spec in specs:
        architecture, training = spec.architecture, spec.training
        if not isinstance(architecture, CNN):
            other = next(one.architecture for one in specs if isinstance(one.architecture, CNN))
            raise InputError(f"{architecture.name} and {other.name} cannot train together")
        if architecture.image != dataset.image_shape or architecture.n_outputs < dataset.n_outputs:
            shape = "×".join(map(str, dataset.image_shape))
            raise InputError(
                f"{architecture.name} does not fit {dataset.name}: images of {shape} and {dataset.n_outputs} outputs"
            )
        n_examples, size = len(dataset.y_train), training.batch_size
        if architecture.batch_norm and training.last_epoch(True) and 1 in (size, n_examples % size):
            raise InputError(
                f"batch_size {size}: of {n_examples} examples it leaves a batch of one, which cannot be normalized"
            )


def _initial(spec: NetworkSpec, randomness: Randomness) -> Parameters:
    training = spec.training
    parameters = initialize(spec.architecture, randomness.weights)
    if training.initial_groups:
        parameters.weights = clusterable_weights(
            spec.architecture, parameters.weights, training.initial_groups, training.initial_damping,
            randomness.weights, first_layer=training.initial_first_layer,
        )  # fmt: skip
    return parameters


class _ImagePhases(Phases):
    """The training loop over one network."""

    def __init__(
        self,
        spec: NetworkSpec,
        network: Parameters,
        randomness: Randomness,
        data: _Data,
        keep_epochs: Sequence[int],
        tell: Progress,
        checkpoint: Checkpoint | None,
    ) -> None:
        # The same memory without gradients, and with the axis of networks that pruning expects.
        weights = [weight.detach()[None] for weight in network.weights]
        super().__init__(
            [spec], network.trained, weights, [randomness], data["train"][1], keep_epochs, tell,
            statistics=network.statistics, checkpoint=checkpoint,
        )  # fmt: skip
        for parameter in network.trained:
            parameter.requires_grad_()
        self.architecture: CNN = spec.architecture
        self.network, self.data, self.noise = network, data, randomness.noise
        on_convolutions = self.training.convolution_dropout or (0.0,) * len(self.architecture.channels)
        # Among normalized networks' dense layers, only the first, which is normalized too, has dropout.
        n_dense = len(self.architecture.dense)
        n_dropped = min(1, n_dense) if self.architecture.batch_norm else n_dense
        on_dense = [self.training.dropout] * n_dropped + [0.0] * (n_dense - n_dropped)
        self.rates = (*on_convolutions, *on_dense)
        self.thresholds = dropout_thresholds(torch.tensor(self.rates)).tolist()

    def compute_gradients(self, batch: Tensor, step: int) -> Tensor:
        x, y = self.data["train"]
        images, labels = x.index_select(0, batch[0]).permute(0, 3, 1, 2), y[batch[0]]
        if self.training.augmentation:
            images = augmented(images, self.noise).contiguous(memory_format=torch.channels_last)
        with torch.enable_grad():
            with _precision(self.training, images):
                outputs = logits(self.architecture, self.network, images, training=True, drop=self._drop)
            loss = F.cross_entropy(outputs.float(), labels)
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()
        penalize(self.network.weights, self.training)
        return (outputs.argmax(1) == labels).sum()[None]

    def _drop(self, x: Tensor, layer: int) -> Tensor:
        """A hidden layer's output with units set to zero, and the others grown so that the mean stays."""
        rate = self.rates[layer]
        if not rate:
            return x
        kept = random_bits(x.numel(), self.noise) >= self.thresholds[layer]
        factors = torch.where(kept, 1 / (1 - rate), 0.0).to(x.dtype)
        if x.ndim == 4:  # in the order of memory, channels last
            return x * factors.view(len(x), *x.shape[2:], -1).permute(0, 3, 1, 2)
        return x * factors.view_as(x)

    def snapshot(self, running_accuracy: list[float], masks: Sequence[Tensor] = ()) -> list[TrainedNetwork]:
        network = self.network
        if masks:
            weights = [weight * mask[0] for weight, mask in zip(network.weights, masks, strict=True)]
            network = Parameters(weights, network.biases, network.scales, network.statistics)
        with _precision(self.training, network.weights[0]):
            train, test = (
                evaluate_images(self.architecture, network, *self.data[split]) for split in ("train", "test")
            )
        scores = (train[0], test[0], train[1], test[1], *running_accuracy, penalty(network.weights, self.training))
        weights, biases, normalizations = network.arrays()
        return [TrainedNetwork(weights, biases, dict(zip(SCORES, scores, strict=True)), normalizations)]


def _precision(training: Training, like: Tensor) -> torch.autocast:
    """Within it, products are those of numbers as exact as the training asks for."""
    return torch.autocast(like.device.type, torch.bfloat16, enabled=training.bfloat16)


def penalize(weights: Sequence[Tensor], training: Training) -> None:
    """Add the derivatives of :func:`penalty` to the weights' gradients."""
    for weight in weights:
        if training.l1:
            weight.grad.add_(weight.sign(), alpha=training.l1)
        if training.l2:
            weight.grad.add_(weight, alpha=2 * training.l2)


def penalty(weights: Sequence[Tensor], training: Training) -> float:
    """l1 · Σ|w| + l2 · Σw² over all kernels and matrices."""
    if not (training.l1 or training.l2):
        return 0.0
    return sum((training.l1 * w.abs().sum() + training.l2 * w.square().sum()).item() for w in weights)


def evaluate_images(
    architecture: CNN, network: Parameters, x: Tensor, y: Tensor, batch_size: int = 500
) -> tuple[float, float]:
    """Accuracy and mean cross-entropy (nats), without dropout and with the running normalizations.

    Parameters
    ----------
    x : Tensor (examples, height, width, channels)
    y : Tensor (examples,) of int64
    """
    hits, total = 0, 0.0
    for images, labels in zip(x.split(batch_size), y.split(batch_size), strict=True):
        outputs = logits(architecture, network, images.permute(0, 3, 1, 2))
        hits += (outputs.argmax(1) == labels).sum().item()
        total += F.cross_entropy(outputs.float(), labels, reduction="sum").item()
    return hits / len(x), total / len(x)
