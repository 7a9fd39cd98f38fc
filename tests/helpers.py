"""Networks and graphs to test with, built without the library; and commands as a user types them."""

import ast
import contextlib
import itertools
import re
import shutil
from dataclasses import replace

import nbformat
import numpy as np
import torch
from click.testing import CliRunner
from hypothesis import assume
from hypothesis import strategies as st
from IPython.display import HTML
from numpy.testing import assert_allclose
from threadpoolctl import threadpool_limits
from torch import nn

from clusterability.base.threads import one_thread
from clusterability.cli import main
from clusterability.experiments.grid import presets
from clusterability.experiments.store import Numbers, _kinds
from clusterability.networks.stack import Stack
from clusterability.report import style


def random_network(sizes, rng, density=1.0, dtype=np.float64):
    """Weight matrices (out, in) with normal entries, of which a share ``density`` is not zero."""
    return [
        (rng.normal(size=(o, i)) * (rng.random((o, i)) < density)).astype(dtype) for i, o in itertools.pairwise(sizes)
    ]


def planted_network(width, n_groups, n_matrices, rng, across=0.01):
    """Matrices (width, width) in blocks: strong within a group, weak across; and every layer's groups."""
    groups = np.arange(width) * n_groups // width
    same = groups[:, None] == groups
    scale = np.where(same, 1.0, across)
    signs = rng.choice([-1.0, 1.0], (n_matrices, width, width))
    return list(signs * scale * rng.uniform(0.5, 1.5, (n_matrices, width, width))), groups


def dense_adjacency(matrices):
    """Symmetric adjacency of a network's graph, filled edge by edge."""
    sizes = [matrices[0].shape[1], *(m.shape[0] for m in matrices)]
    first = np.cumsum([0, *sizes])
    adjacency = np.zeros((first[-1], first[-1]))
    for layer, matrix in enumerate(matrices):
        for (o, i), weight in np.ndenumerate(matrix):
            a, b = first[layer] + i, first[layer + 1] + o
            adjacency[a, b] = adjacency[b, a] = abs(float(weight))
    return adjacency


def dense_laplacian(adjacency):
    """I − D^(−1/2) A D^(−1/2)."""
    degree = adjacency.sum(axis=0)
    return np.eye(len(adjacency)) - adjacency / np.sqrt(np.outer(degree, degree))


@st.composite
def networks(draw, max_width=7, connected=False):
    """Weight matrices of a random network; ``connected``: no neuron without a weight."""
    sizes = draw(st.lists(st.integers(1, max_width), min_size=2, max_size=6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    density = draw(st.sampled_from([0.3, 0.7, 1.0]))
    matrices = random_network(sizes, rng, density, draw(st.sampled_from([np.float32, np.float64])))
    assume(any(matrix.any() for matrix in matrices))
    if connected:
        assume((dense_adjacency(matrices).sum(axis=0) > 0).all())
    return matrices


def untrained_stack(architecture, generators):
    """Perceptrons before their first step, one a generator."""
    return Stack.of([architecture.untrained(generator) for generator in generators])


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refused(result, *words):
    """One sentence on standard error that names the bad value, status 2, no traceback."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    sentence = result.stderr.strip().splitlines()[-1]
    assert sentence.startswith("Error: ")
    for word in words:
        assert word in sentence
    return True


def sequential(architecture, network):
    """PyTorch's own layers with copies of a network's weights, biases and normalizations."""
    pooled, normalizations = iter(getattr(architecture, "pooled", ())), map(torch.tensor, network.normalizations)
    n_convolutions, last = sum(weight.ndim == 4 for weight in network.weights), len(network.weights) - 1
    layers = []
    for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        n_out, n_in, *kernel = weight.shape
        layers.append(nn.Conv2d(n_in, n_out, 3, padding="same") if kernel else nn.Linear(n_in, n_out))
        layers[-1].weight.data, layers[-1].bias.data = torch.tensor(weight), torch.tensor(bias)
        layers += [] if layer == last else [nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if kernel and next(pooled) else []
        if architecture.batch_norm and layer < last and layer <= n_convolutions:
            layers.append((nn.BatchNorm2d if kernel else nn.BatchNorm1d)(n_out, eps=1e-3, momentum=0.01))
            normalized = layers[-1]
            normalized.weight.data, normalized.bias.data, normalized.running_mean, normalized.running_var = next(
                normalizations
            )
        layers += [nn.Flatten()] if layer == n_convolutions - 1 else []
    return nn.Sequential(*layers)


def plain_training(spec, model, x, y):
    """Train and prune a model of PyTorch's layers as a specification says; its weights after every epoch.

    The order of examples and what dropout keeps are drawn as the library draws them: a perceptron's for all layers
    at once, of images layer by layer, channels last.
    """
    training, architecture, epoch, states = spec.training, spec.architecture, 0, {}
    seeds = np.random.SeedSequence(spec.seed).generate_state(3, np.uint64).astype(np.int64).tolist()
    order, noise = (torch.Generator().manual_seed(seed) for seed in seeds[1:])
    weights = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    rates = [*training.convolution_dropout, *[training.dropout] * (len(weights) - 1)]
    if x.ndim == 4:
        n_convolutions, n_dropped = len(architecture.channels), 1 if architecture.batch_norm else len(weights)
        convolutions = training.convolution_dropout or [0] * n_convolutions
        rates = [*convolutions, *[training.dropout] * n_dropped, *[0] * len(weights)]

    def kept(n, rate):
        """Of 65,536 equally likely numbers, dropout keeps those above its share."""
        words = torch.empty(-(-n // 4), dtype=torch.int64).random_(-(2**63), None, generator=noise)
        return (words.view(torch.int16)[:n] >= round(65536 * rate) - 32768) / (1 - rate)

    def dropped(x, number, factors):
        if not rates[number]:
            return x
        if factors:
            return x * factors[number].view(x.shape)
        last = x.movedim(1, -1)
        return x * kept(x.numel(), rates[number]).view(last.shape).movedim(-1, 1)

    def outputs(x):
        widths = [len(x) * len(weight) for weight in weights[:-1]]
        factors = kept(sum(widths), training.dropout).split(widths) if training.dropout and x.ndim == 2 else ()
        number, undropped = -1, False
        for layer in model:
            weighted = isinstance(layer, (nn.Linear, nn.Conv2d))
            if undropped and (weighted or isinstance(layer, nn.Flatten)):
                x = dropped(x, number, factors)
            x, number = layer(x), number + weighted
            undropped = weighted or (undropped and not isinstance(layer, nn.Flatten))
        return x

    for n_epochs, pruning in ((training.epochs, False), (training.pruning_epochs, True)):
        optimizer = torch.optim.Adam(model.parameters(), lr=training.learning_rate, eps=1e-7)
        last, step = n_epochs * -(-len(x) // training.batch_size), 0
        masks = [torch.ones(weight.shape) for weight in weights]
        for _ in range(n_epochs):
            for batch in torch.randperm(len(x), generator=order).split(training.batch_size):
                if pruning:
                    prune(weights, masks, training, step, last)
                loss = nn.functional.cross_entropy(outputs(x[batch]), y[batch]) + penalty(weights, training)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                step += 1
            if pruning and step == last:
                prune(weights, masks, replace(training, mask_interval=1), step, last)
            epoch += 1
            states[epoch] = [(weight * mask).detach().numpy() for weight, mask in zip(weights, masks, strict=True)]
    return states


def penalty(weights, training):
    """What L1 and L2 penalties add to the loss."""
    total = 0.0
    for layer, weight in enumerate(weights):
        first = training.first_layer_l1 if layer == 0 else 0
        l1, l2 = (first, 0) if first else (training.l1, training.l2)
        total = total + l1 * abs(weight).sum() + l2 * (weight**2).sum()
    return total


def prune(weights, masks, training, step, last):
    """Set to zero what is pruned before a step: where it is time for it, all but the largest weights."""
    first, final = training.initial_sparsity, training.final_sparsity
    share = final + (first - final) * (1 - step / last) ** 3
    for number, weight in enumerate(weights):
        if step % training.mask_interval == 0:
            standing = weight if training.regrowth else weight * masks[number]
            smallest = standing.detach().abs().flatten().argsort()[: round(share * weight.numel())]
            masks[number] = torch.ones(weight.numel()).index_fill(0, smallest, 0).view(weight.shape)
        weight.data *= masks[number]


def assert_sequential_state(network, model, **tolerance):
    """A network's weights, biases and normalizations are those of PyTorch's layers."""
    normalizations = [layer for layer in model if hasattr(layer, "running_mean")]
    weighted = [layer for layer in model if hasattr(layer, "weight") and layer not in normalizations]
    for weight, bias, layer in zip(network.weights, network.biases, weighted, strict=True):
        assert_allclose(weight, layer.weight.detach(), **tolerance)
        assert_allclose(bias, layer.bias.detach(), **tolerance)
    for ours, layer in zip(network.normalizations, normalizations, strict=True):
        theirs = torch.stack([layer.weight, layer.bias, layer.running_mean, layer.running_var])
        assert_allclose(ours, theirs.detach(), **tolerance)


def blank(row_type, **values):
    """A row of a kind with plausible cells where none are given."""
    kinds = {str: "text", bool: True, int: 1, Numbers: []}
    return row_type(**{name: values.get(name, kinds.get(kind, 0.5)) for name, kind in _kinds(row_type).items()})


def code_cells(content):
    return [cell for cell in content.cells if cell.cell_type == "code"]


def run_page(figure, folder, values):
    """Run a page's code in this process, with some of its parameters replaced; the HTML that its cells end with."""
    names, shown = {}, []
    folder.mkdir(parents=True, exist_ok=True)
    # Small products on all threads, beside other tests, wait for one another most of the time.
    with contextlib.chdir(folder), one_thread(), threadpool_limits(1):
        for cell in code_cells(nbformat.read(figure.path, as_version=4)):
            *statements, last = ast.parse(cell.source).body
            if isinstance(last, ast.Expr):
                exec(compile(ast.Module(statements, []), figure.name, "exec"), names)
                result = eval(compile(ast.Expression(last.value), figure.name, "eval"), names)
                shown += [result.data] if isinstance(result, HTML) else []
            else:
                exec(cell.source, names)
            names |= values if "parameters" in cell.metadata.get("tags", []) else {}
    return "".join(shown)


def computed_from_nothing(figure, home, monkeypatch, capsys):
    """Run a page in this process, with what is computed kept in ``home``, of which no rows are there."""
    _without_rows(home, monkeypatch)
    # nbval writes the other formats of all pages.
    monkeypatch.setattr(style, "_METADATA", {"svg": style._METADATA["svg"]})
    shown = run_page(figure, home / "page", presets(figure.name).get("quick", {}))
    _assert_computed(shown, capsys.readouterr().err)
    assert (home / "page" / "figures" / f"{figure.name}.svg").is_file()


def computed_once_from_the_command_line(figure, home, monkeypatch):
    """Run a page twice: nothing is computed again, and the notebook and its figures have the same bytes."""
    _without_rows(home, monkeypatch)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # see above
    notebooks = []
    for turn in ("first", "second"):
        result = invoke("run", figure.name, "--preset", "quick", "--output", home / turn)
        assert result.exit_code == 0, result.output
        notebooks.append(home / turn / f"{figure.name}.ipynb")
        content = nbformat.read(notebooks[-1], as_version=4)
        cells = code_cells(content)
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
        assert "A small run" in content.cells[0].source
        if turn == "first":
            outputs = [output for cell in cells for output in cell.outputs if "data" in output]
            _assert_computed("".join(output.data.get("text/html", "") for output in outputs), result.stderr)
        else:
            assert "rows at hand" not in result.stderr
    files = [notebooks, *([path.parent / "figures" / f"{figure.name}.{suffix}" for path in notebooks]
                          for suffix in ("svg", "pdf", "png"))]  # fmt: skip
    for first, second in files:
        assert first.read_bytes() == second.read_bytes()


def _without_rows(home, monkeypatch):
    monkeypatch.setenv("CLUSTERABILITY_LOCAL", str(home))
    monkeypatch.setenv("CLUSTERABILITY_STORE", "quick")
    shutil.rmtree(home / "results", ignore_errors=True)  # pages may share rows; trained networks stay


def _assert_computed(shown, said):
    """No row was there before, and what is shown lacks none."""
    assert all(there == "0" for there in re.findall(r"(\d+) of \d+ rows at hand", said))
    assert shown
    assert "<td>needs " not in shown, "a claim lacks its conditions"
