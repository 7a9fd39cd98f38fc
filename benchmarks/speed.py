"""Speed beside the code one would write without this library: ``make bench``.

Both sides run on the same cores in the same run, taking turns; what is reported is their ratio, as
the median, minimum and maximum over the rounds.
"""

from __future__ import annotations

import copy
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import click
import joblib
import numpy as np
import torch
from threadpoolctl import threadpool_limits

from clusterability.base.threads import available_cores, one_thread
from clusterability.clustering.measure import Measurement, measure
from clusterability.clustering.ncut import ncut
from clusterability.clustering.spectral import laplacian_eigenpairs
from clusterability.data.catalogue import Dataset
from clusterability.graphs.layered import LayeredGraph
from clusterability.lesions.lesion import LesionedNetwork
from clusterability.networks.mlp import MLP, initialize
from clusterability.penalties.eigenvalues import eigenvalue_gradient, smallest_eigenpairs
from clusterability.training.pruning import magnitude_mask
from clusterability.training.train import NetworkSpec, Training, train

ARCHITECTURE = MLP((784, 256, 256, 256, 256, 10))


def random_network(sparsity: float, seed: int = 0) -> list[np.ndarray]:
    """Glorot-uniform weights of the papers' MLP, pruned by magnitude."""
    stack = initialize(ARCHITECTURE, [torch.Generator().manual_seed(seed)])
    return [(w * magnitude_mask(w, sparsity))[0].numpy() for w in stack.weights]


def random_dataset(n_examples: int, seed: int = 0) -> Dataset:
    """Noise in MNIST's shape: arithmetic takes as long on it as on digits, and it needs no download."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (n_examples, 784), dtype=np.uint8)
    y = rng.integers(0, 10, n_examples)
    return Dataset("noise", x, y, x[:1000], y[:1000])


def scikit_learn_ncuts(graphs: Sequence[LayeredGraph], n_clusters: int, *, sparse: bool) -> list[float]:
    """n-cut of every graph by scikit-learn's spectral clustering, graphs in parallel on all cores."""
    from sklearn.cluster import SpectralClustering

    def cluster(graph: LayeredGraph) -> float:
        adjacency = graph.adjacency if sparse else graph.adjacency.toarray()
        model = SpectralClustering(
            n_clusters, eigen_solver="arpack", affinity="precomputed", n_init=25, random_state=0
        )
        with threadpool_limits(1):
            return ncut(graph, model.fit_predict(adjacency))

    return joblib.Parallel(n_jobs=available_cores())(joblib.delayed(cluster)(graph) for graph in graphs)


def plain_training(dataset: Dataset, n_networks: int, epochs: int) -> None:
    """Networks one after another, in the PyTorch one would write: indexed batches, fused Adam."""
    x, y = map(torch.from_numpy, dataset.flat("train"))
    for seed in range(n_networks):
        torch.manual_seed(seed)
        layers = []
        for fan_in, fan_out in pairwise(ARCHITECTURE.sizes):
            layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
        model = torch.nn.Sequential(*layers[:-1])
        optimizer = torch.optim.Adam(model.parameters(), fused=True)
        for _ in range(epochs):
            for batch in torch.randperm(len(x)).split(128):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
                optimizer.step()
        with torch.no_grad():
            model(x).argmax(1)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def report(name: str, ours: list[float], theirs: list[float], unit: str, count: int) -> None:
    """Print times per unit and the ratio of every round."""
    ratios = sorted(b / a for a, b in zip(ours, theirs, strict=True))
    click.echo(
        f"{name}: {statistics.median(ours) / count * 1e3:.2f} ms against "
        f"{statistics.median(theirs) / count * 1e3:.2f} ms {unit}; "
        f"{statistics.median(ratios):.1f} times faster ({ratios[0]:.1f} to {ratios[-1]:.1f})"
    )


def bench_null_test(rounds: int) -> None:
    measurement = Measurement(n_clusters=12, n_shuffles=50)
    for name, sparsity, sparse in (("unpruned", 0.0, False), ("pruned", 0.9, True)):
        kept, _ = LayeredGraph.of(random_network(sparsity)).without_isolated()
        graphs = [kept]
        for seed in range(measurement.n_shuffles):
            candidate, _ = kept.shuffled("layer", np.random.default_rng(seed)).without_isolated()
            graphs.append(candidate)
        measure(kept, Measurement(12, 2), seed=0)  # compiles, if nothing has been compiled before
        scikit_learn_ncuts(graphs[:2], 12, sparse=sparse)
        ours, theirs, gaps = [], [], []
        for seed in range(rounds):
            results: dict = {}
            ours.append(
                seconds(lambda: results.update(a=measure(kept, measurement, seed, workers=available_cores())))  # noqa: B023
            )
            theirs.append(
                seconds(lambda: results.update(b=scikit_learn_ncuts(graphs, 12, sparse=sparse)))  # noqa: B023
            )
            gaps.append(results["a"].shuffled_ncuts.mean() - np.mean(results["b"][1:]))
        report(f"null test, {name}", ours, theirs, "a clustering", len(graphs))
        click.echo(f"  mean n-cut of the shuffles, ours − scikit-learn's: {statistics.median(gaps):+.4f}")


def bench_training(rounds: int, n_networks: int = 10, epochs: int = 2) -> None:
    dataset = random_dataset(128 * 150)
    training = Training(epochs=epochs, pruning_epochs=0)
    specs = [NetworkSpec("noise", ARCHITECTURE, training, seed) for seed in range(n_networks)]
    plain_training(dataset, 1, 1)
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(seconds(lambda: list(train(specs, dataset))))
        theirs.append(seconds(lambda: plain_training(dataset, n_networks, epochs)))
    report(f"training {n_networks} networks", ours, theirs, "a network and step", n_networks * epochs * 150)


def bench_penalty(rounds: int, epochs: int = 1) -> None:
    """Training with the clusterability gradient beside training without."""
    dataset = random_dataset(128 * 150)

    def networks(**changes) -> Callable[[], object]:
        training = Training(epochs=epochs, pruning_epochs=0, **changes)
        specs = [NetworkSpec("noise", ARCHITECTURE, training, seed) for seed in range(available_cores())]
        return lambda: list(train(specs, dataset))

    plain = networks()
    for interval in (1, 4):
        penalized = networks(cluster_gradient=1.0, cluster_eigenvalues=11, cluster_interval=interval)
        with_penalty, without = [], []
        for _ in range(rounds):
            with_penalty.append(seconds(penalized))
            without.append(seconds(plain))
        ratios = sorted(a / b for a, b in zip(with_penalty, without, strict=True))
        click.echo(
            f"a step with the clusterability gradient, every {interval}: {statistics.median(ratios):.2f} "
            f"times a plain step ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


def derivative_by_single_weights(matrices: Sequence[np.ndarray], n_eigenvalues: int, layer: int) -> np.ndarray:
    """Derivative of the sum of the smallest nontrivial eigenvalues by every weight of a layer, one by one.

    The way of the released experiments: a loop over the weights in Python, which for each of them
    multiplies and sums over all neurons that its two ends are joined to.
    """
    graph = LayeredGraph.of(matrices)
    _, vectors = laplacian_eigenpairs(graph, n_eigenvalues + 1)
    outer = vectors[:, 1:] @ vectors[:, 1:].T
    degree, adjacency = graph.degree, graph.adjacency.toarray()
    first = np.cumsum([0, *graph.layer_sizes])
    result = np.zeros(matrices[layer].shape)
    for place, weight in np.ndenumerate(matrices[layer]):
        i, j = first[layer + 1] + place[0], first[layer] + place[1]
        ends = [
            degree[end] ** -1.5 * np.dot(adjacency[end, near] * degree[near] ** -0.5, outer[end, near])
            for end, near in ((i, _neighbours(first, layer + 1)), (j, _neighbours(first, layer)))
        ]
        result[place] = np.sign(weight) * (sum(ends) - 2 * (degree[i] * degree[j]) ** -0.5 * outer[i, j])
    return result


def _neighbours(first: np.ndarray, layer: int) -> np.ndarray:
    """Vertices of the layers next to a layer."""
    layers = [near for near in (layer - 1, layer + 1) if 0 <= near < len(first) - 1]
    return np.concatenate([np.arange(first[near], first[near + 1]) for near in layers])


def bench_derivative(rounds: int) -> None:
    """The derivative of eigenvalues, eigenvectors and all, beside a loop over single weights."""
    matrices, layer = random_network(0.0), 2
    weights = [torch.from_numpy(matrix)[None] for matrix in matrices]
    pairs = smallest_eigenpairs(weights, 3)
    share = matrices[layer].size / sum(matrix.size for matrix in matrices)

    def ours() -> list[torch.Tensor]:
        following = smallest_eigenpairs(weights, 3, start=pairs.basis)
        return eigenvalue_gradient(weights, following)

    with torch.no_grad(), one_thread(), threadpool_limits(1):
        mine = [seconds(ours) for _ in range(10 * rounds)]
        loop = {}
        theirs = [seconds(lambda: loop.update(result=derivative_by_single_weights(matrices, 3, layer)))]
        gap = np.abs(ours()[layer][0].numpy() - loop["result"]).max() / np.abs(loop["result"]).max()
    ratio = theirs[0] / share / statistics.median(mine)
    click.echo(
        f"derivative of the eigenvalues: {statistics.median(mine) * 1e3:.1f} ms against {theirs[0] / share:.1f} s by "
        f"single weights (one layer of them, {share:.0%}, timed); {ratio:.0f} times faster; they differ by {gap:.1e}"
    )


def bench_lesions(rounds: int) -> None:
    """Lesions beside one forward pass of a module each."""
    dataset = random_dataset(10_000)
    x, y = dataset.flat("train")
    matrices = random_network(0.9)
    network = LesionedNetwork(matrices, [np.zeros(len(matrix)) for matrix in matrices], x, y)
    silenced = np.random.default_rng(0).random((40, 256)) < 0.1
    linears = [torch.nn.Linear(matrix.shape[1], matrix.shape[0]) for matrix in matrices]
    for linear, matrix in zip(linears, matrices, strict=True):
        linear.weight.data, linear.bias.data = torch.from_numpy(matrix), torch.zeros(len(matrix))
    layers = [layer for linear in linears for layer in (linear, torch.nn.ReLU())][:-1]
    inputs, labels = torch.from_numpy(x), torch.from_numpy(y)

    def lesions_of(layer: int) -> list[float]:
        accuracies = []
        for lesion in silenced:
            changed = copy.deepcopy(torch.nn.Sequential(*layers))
            changed[2 * layer - 2].weight.data[torch.from_numpy(lesion)] = 0
            changed[2 * layer - 2].bias.data[torch.from_numpy(lesion)] = 0
            accuracies.append(float((changed(inputs).argmax(1) == labels).float().mean()))
        return accuracies

    with torch.no_grad():
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(seconds(lambda: [network.accuracies(layer, silenced) for layer in (1, 2, 3, 4)]))
            theirs.append(seconds(lambda: [lesions_of(layer) for layer in (1, 2, 3, 4)]))
    report("lesions", ours, theirs, "a lesion on 10,000 examples", 4 * len(silenced))


def bench_models() -> None:
    """Time and memory of the command line on untrained models: tracing, graph, and 1 + 4 clusterings."""
    start = "from clusterability.cli import main; main()"
    command = [sys.executable, "-c", start, "measure", "--shuffles", "4", "--json"]
    for name in ("vgg16", "resnet18", "resnet34", "resnet50"):
        started = time.perf_counter()
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen([*command, f"torchvision:{name}:random"], stdout=output, stderr=output)
            _, status, usage = os.wait4(process.pid, 0)
            output.seek(0)
            printed = output.read().decode()
        if status:
            raise RuntimeError(printed)
        report = json.loads(printed[printed.index("{") :])
        click.echo(
            f"{name}: {report['vertices']} vertices, {report['edges']} edges, {time.perf_counter() - started:.0f} s, "
            f"at most {usage.ru_maxrss / 2**20:.1f} GiB"
        )


@click.command()
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1))
def main(rounds: int) -> None:
    """Compare speeds on this machine, side by side."""
    click.echo(f"{available_cores()} cores, torch {torch.__version__}, {rounds} rounds, medians (and ranges)")
    bench_null_test(rounds)
    bench_training(rounds)
    bench_penalty(rounds)
    bench_derivative(rounds)
    bench_lesions(rounds)
    bench_models()


if __name__ == "__main__":
    main()
