"""Speed beside the code one would write without this library, in turns on the same cores: ``make bench``."""

import copy
import json
import subprocess
import sys
import time
from functools import partial
from itertools import pairwise
from statistics import median

import click
import joblib
import numpy as np
import torch
from sklearn.cluster import SpectralClustering
from threadpoolctl import threadpool_limits
from torch import nn

from clusterability import MLP, Measurement, NetworkSpec, Training, train
from clusterability.base.threads import available_cores, one_thread
from clusterability.clustering import measure, ncut, spectral
from clusterability.data.catalogue import Dataset
from clusterability.graphs.layered import LayeredGraph
from clusterability.lesions.lesion import LesionedNetwork
from clusterability.networks.stack import Stack
from clusterability.penalties.eigenvalues import eigenvalue_gradient, smallest_eigenpairs
from clusterability.training.pruning import magnitude_mask

ARCHITECTURE = MLP((784, 256, 256, 256, 256, 10))
N_STEPS = 150  # an epoch


def random_network(sparsity):
    """Glorot-uniform weights of the papers' MLP, pruned by magnitude."""
    stack = Stack.of([ARCHITECTURE.untrained(torch.Generator().manual_seed(0))])
    return [(w * magnitude_mask(w, sparsity))[0].numpy() for w in stack.weights]


def random_dataset(n_examples):
    """Noise in MNIST's shape: arithmetic takes as long on it as on digits, and it needs no download."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (n_examples, 784), dtype=np.uint8), rng.integers(0, 10, n_examples)
    return Dataset("noise", x, y, x[:1000], y[:1000])


def perceptron():
    return nn.Sequential(*[p for ends in pairwise(ARCHITECTURE.sizes) for p in (nn.Linear(*ends), nn.ReLU())][:-1])


def timed(work):  # seconds and result
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def report(name, rounds, ours, theirs, unit, count):
    """Time both in turns and print the times of one unit and their ratio; what the two gave, round by round."""
    found = [(timed(ours), timed(theirs)) for _ in range(rounds)]
    ratios = sorted(b / a for (a, _), (b, _) in found)
    mine, plain = (1e3 / count * median(pair[side][0] for pair in found) for side in (0, 1))
    span = f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
    click.echo(f"{name}: {mine:.2f} ms against {plain:.2f} ms {unit}; {median(ratios):.2f} times {span}")
    return [(a, b) for (_, a), (_, b) in found]


def scikit_learn_ncuts(graphs, sparse):
    def cluster(graph):
        model = SpectralClustering(12, eigen_solver="arpack", affinity="precomputed", n_init=25, random_state=0)
        with threadpool_limits(1):
            return ncut.ncut(graph, model.fit_predict(graph.adjacency if sparse else graph.adjacency.toarray()))

    return joblib.Parallel(n_jobs=available_cores())(joblib.delayed(cluster)(graph) for graph in graphs)


def bench_null_test(rounds, n_shuffles=50):
    for name, sparsity in (("unpruned", 0.0), ("pruned", 0.9)):
        kept, _ = LayeredGraph.of(random_network(sparsity)).without_isolated()
        seeds, rngs = iter(range(rounds)), map(np.random.default_rng, range(n_shuffles))
        graphs = [kept, *(kept.shuffled("layer", rng).without_isolated()[0] for rng in rngs)]
        measure.measure(kept, Measurement(12, 2), 0)  # compiles, if nothing has been compiled before
        scikit_learn_ncuts(graphs[:2], sparsity > 0)
        ours = lambda: measure.measure(kept, Measurement(12, n_shuffles), next(seeds), workers=available_cores())  # noqa: B023, E731
        plain = partial(scikit_learn_ncuts, graphs, sparsity > 0)
        found = report(f"null test, {name}", rounds, ours, plain, "a clustering", len(graphs))
        gap = median(ours.shuffled_ncuts.mean() - np.mean(theirs[1:]) for ours, theirs in found)
        click.echo(f"  mean n-cut of the shuffles, ours − scikit-learn's: {gap:+.4f}")


def training(n_networks, epochs, dataset, **changes):
    recipe = Training(epochs=epochs, pruning_epochs=0, **changes)
    list(train([NetworkSpec("noise", ARCHITECTURE, recipe, seed) for seed in range(n_networks)], dataset))


def plain_training(n_networks, epochs, dataset):
    """Networks one after another, in the PyTorch one would write: indexed batches, fused Adam."""
    x, y = map(torch.from_numpy, dataset.flat("train"))
    for seed in range(n_networks):
        torch.manual_seed(seed)
        model = perceptron()
        optimizer = torch.optim.Adam(model.parameters(), fused=True)
        for _ in range(epochs):
            for batch in torch.randperm(len(x)).split(128):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
                optimizer.step()
        with torch.no_grad():
            model(x).argmax(1)


def bench_training(rounds):
    dataset, n, epochs = random_dataset(128 * N_STEPS), 10, 2
    plain_training(1, 1, dataset)
    both = [partial(function, n, epochs, dataset) for function in (training, plain_training)]
    report(f"training {n} networks", rounds, *both, "a network and step", n * epochs * N_STEPS)
    plain = partial(training, available_cores(), 1, dataset)
    for every in (1, 4):
        penalized = partial(plain, cluster_gradient=1.0, cluster_eigenvalues=11, cluster_interval=every)
        report(f"plain training, beside gradient every {every}", rounds, plain, penalized, "a step", N_STEPS)


def derivative_by_single_weights(matrices, n_eigenvalues, layer):
    """Derivative of the sum of the smallest nontrivial eigenvalues by every weight of a layer, one by one: as
    released, a loop that multiplies and sums over all neurons that a weight's two ends are joined to."""
    graph = LayeredGraph.of(matrices)
    _, vectors = spectral.laplacian_eigenpairs(graph, n_eigenvalues + 1)
    outer = vectors[:, 1:] @ vectors[:, 1:].T
    degree, adjacency = graph.degree, graph.adjacency.toarray()
    layers = [[], *graph.by_layer(np.arange(graph.n_vertices)), []]  # layers[l + 1] are the vertices of layer l
    near = [np.concatenate([layers[at], layers[at + 2]]).astype(int) for at in (layer, layer + 1)]
    result = np.zeros_like(matrices[layer])
    for place, weight in np.ndenumerate(matrices[layer]):
        i, j = layers[layer + 2][place[0]], layers[layer + 1][place[1]]
        ends = sum(
            degree[end] ** -1.5 * np.dot(adjacency[end, around] * degree[around] ** -0.5, outer[end, around])
            for end, around in ((j, near[0]), (i, near[1]))
        )
        result[place] = np.sign(weight) * (ends - 2 * (degree[i] * degree[j]) ** -0.5 * outer[i, j])
    return result


def bench_derivative(rounds, layer=2):
    matrices = random_network(0.0)
    weights = [torch.from_numpy(matrix)[None] for matrix in matrices]
    start = smallest_eigenpairs(weights, 3).basis
    ours = lambda: eigenvalue_gradient(weights, smallest_eigenpairs(weights, 3, start=start))  # noqa: E731
    with torch.no_grad(), one_thread(), threadpool_limits(1):
        times = [timed(ours) for _ in range(10 * rounds)]
        theirs, loop = timed(lambda: derivative_by_single_weights(matrices, 3, layer))
    took, plain = median(one[0] for one in times), theirs * sum(map(np.size, matrices)) / matrices[layer].size
    gap = np.abs(times[0][1][layer][0].numpy() - loop).max() / np.abs(loop).max()
    told = f"{plain:.1f} s by single weights (one layer of them timed); {plain / took:.0f} times"
    click.echo(f"derivative of eigenvalues: {took * 1e3:.1f} ms against {told}; they differ by {gap:.1e}")


def bench_lesions(rounds):
    x, y = random_dataset(10_000).flat("train")
    matrices, model = random_network(0.9), perceptron()
    network = LesionedNetwork(matrices, [np.zeros(len(matrix)) for matrix in matrices], x, y)
    for linear, matrix in zip(model[::2], matrices, strict=True):
        linear.weight.data, linear.bias.data = torch.from_numpy(matrix), torch.zeros(len(matrix))
    silenced, pixels = np.random.default_rng(0).random((40, 256)) < 0.1, torch.from_numpy(x)

    def accuracy(layer, lesion):
        changed = copy.deepcopy(model)
        for values in changed[2 * layer - 2].parameters():
            values[torch.from_numpy(lesion)] = 0
        return np.mean(changed(pixels).argmax(1).numpy() == y)

    ours = lambda: [network.accuracies(layer, silenced) for layer in range(1, 5)]  # noqa: E731
    plain = lambda: [[accuracy(layer, lesion) for lesion in silenced] for layer in range(1, 5)]  # noqa: E731
    with torch.no_grad():
        ((found, expected), *_) = report("lesions", rounds, ours, plain, "a lesion on 10,000 examples", 160)
    click.echo(f"  their accuracies differ by {np.abs(np.subtract(found, expected)).max():.4f} at most")


def bench_models():
    """Time and memory of the command line on untrained models: tracing, graph, and 1 + 4 clusterings."""
    code = "import resource; from clusterability.cli import main; main(standalone_mode=False); "
    code += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    command = [sys.executable, "-c", code, "measure", "--json", "--shuffles", "4"]
    for name in ("vgg16", "resnet18", "resnet34", "resnet50"):
        took, printed = timed(partial(subprocess.check_output, [*command, f"torchvision:{name}:random"], text=True))
        size = "{vertices} vertices, {edges} edges".format(**json.loads(printed.splitlines()[-2]))
        click.echo(f"{name}: {size}, {took:.0f} s, at most {int(printed.splitlines()[-1]) / 2**20:.1f} GiB")


@click.command()
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1))
def main(rounds):
    """Compare speeds on this machine, side by side."""
    click.echo(f"{available_cores()} cores, torch {torch.__version__}, {rounds} rounds, medians (and ranges)")
    for bench in (bench_null_test, bench_training, bench_derivative, bench_lesions):
        bench(rounds)
    bench_models()


if __name__ == "__main__":
    main()
