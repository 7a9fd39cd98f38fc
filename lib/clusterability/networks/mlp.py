"""Multi-layer perceptrons: their shape, and the graph of their neurons."""

from dataclasses import dataclass
from itertools import pairwise

from clusterability.base.errors import InputError
from clusterability.data.catalogue import Dataset
from clusterability.graphs.layered import LayeredGraph
from clusterability.networks.network import Architecture, TrainedNetwork


@dataclass(frozen=True)
class MLP(Architecture):
    """A fully connected ReLU network. InputError for fewer than two layers, or a layer without neurons.

    >>> MLP((784, 256, 256, 256, 256, 10)).name
    'mlp 784-256x4-10'
    >>> MLP((2, 8, 4, 1)).name
    'mlp 2-8-4-1'
    """

    sizes: tuple[int, ...]  # neurons of every layer, inputs and outputs included

    fully_connected = True

    def __post_init__(self) -> None:
        if len(self.sizes) < 2 or min(self.sizes) < 1:
            raise InputError(f"layer sizes {list(self.sizes)}: at least two layers of at least one neuron")

    @property
    def name(self) -> str:
        hidden: tuple[int | str, ...] = self.sizes[1:-1]
        if len(hidden) > 1 and len(set(hidden)) == 1:
            hidden = (f"{hidden[0]}x{len(hidden)}",)
        return "mlp " + "-".join(map(str, (self.sizes[0], *hidden, self.sizes[-1])))

    @property
    def n_vertices(self) -> int:
        """Neurons, inputs and outputs included."""
        return sum(self.sizes)

    def layout(self) -> tuple[list[tuple[int, ...]], tuple[int, ...], int]:
        return [(n_out, n_in) for n_in, n_out in pairwise(self.sizes)], self.sizes, 0

    def check_measurable(self, *, norm: str = "induced", fold: bool = False) -> None:
        if norm != "induced":
            raise InputError(f"kernel_norm {norm!r}: {self.name} has no kernels")
        if fold:
            raise InputError(f"fold_normalization: {self.name} has no batch normalization")

    def check_fits(self, dataset: Dataset) -> None:
        n_outputs, wanted = self.sizes[-1], dataset.n_outputs
        if self.sizes[0] != dataset.n_features or n_outputs < wanted or (dataset.regression and n_outputs > wanted):
            raise InputError(
                f"{self.name} does not fit {dataset.name}: {dataset.n_features} inputs and {wanted} outputs"
            )

    def graph(
        self, network: TrainedNetwork, *, norm: str = "induced", fold: bool = False, seed: int = 0
    ) -> LayeredGraph:
        """Every neuron is a vertex; an edge weighs |w|."""
        self.check_measurable(norm=norm, fold=fold)
        return LayeredGraph.of(network.weights)
