"""torchvision's classifiers of ImageNet as architectures of specifications."""

from dataclasses import dataclass

from clusterability.base.errors import InputError
from clusterability.data.catalogue import Dataset
from clusterability.graphs.channels import ChannelGraph, channel_graph, check_norm
from clusterability.networks.network import Architecture, TrainedNetwork

RANDOM = "random"
"""In place of the name of weights: drawn at random."""
IMAGE = (3, 224, 224)
"""Input shape on which torchvision's classifiers are traced."""


@dataclass(frozen=True)
class Classifier(Architecture):
    """One of torchvision's classifiers of ImageNet, as the architecture of a specification.

    Its trained networks hold no arrays: they are large, so that a model is made where it is measured.

    >>> Classifier("resnet18").name
    'torchvision resnet18'
    """

    classifier: str  # torchvision's name
    weights: str = RANDOM  # or "DEFAULT", or the name of torchvision's weights

    batch_norm = True  # of those that have none, nothing is folded

    def __post_init__(self) -> None:
        from clusterability.networks.torchvision import check_weights

        check_weights(self.classifier, self.weights)

    @property
    def name(self) -> str:
        return f"torchvision {self.classifier}"

    @property
    def n_vertices(self) -> int:
        """Channels of its convolutions."""
        return self.structure().n_vertices

    def check_measurable(self, *, norm: str = "induced", fold: bool = False) -> None:
        check_norm(norm)

    def check_fits(self, dataset: Dataset) -> None:
        raise InputError(f"{self.name} cannot be trained on {dataset.name}: it is measured as torchvision gives it")

    def graph(
        self, network: TrainedNetwork | None = None, *, norm: str = "induced", fold: bool = False, seed: int = 0
    ) -> ChannelGraph:
        """The graph of its convolutions' channels; ``seed`` is that of random weights."""
        from clusterability.graphs.tracing import trace
        from clusterability.networks.torchvision import PREFIX, by_name

        model = by_name(f"{PREFIX}{self.classifier}:{self.weights}", seed)
        return channel_graph(trace(model, IMAGE, fold_normalization=fold), norm=norm)

    def structure(self) -> ChannelGraph:
        """The same graph with a weight of 1 in every kernel's every place: no weights are made."""
        import torch

        from clusterability.graphs.tracing import trace
        from clusterability.networks.torchvision import layout

        model = layout(self.classifier).to_empty(device="cpu")
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(1)
        return channel_graph(trace(model, IMAGE, fold_normalization=False))
