"""Networks and graphs to test with, built without the library; and commands as a user types them."""

import ast
import contextlib
import itertools
import re
import shutil

import nbformat
import numpy as np
import torch
from click.testing import CliRunner
from hypothesis import assume
from hypothesis import strategies as st
from IPython.display import HTML
from numpy.testing import assert_allclose
from torch import nn

from clusterability.cli import main
from clusterability.experiments.grid import presets
from clusterability.experiments.store import Numbers, _kinds
from clusterability.networks.stack import Stack


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
    with contextlib.chdir(folder):
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
    shown = run_page(figure, home / "page", presets(figure.name).get("quick", {}))
    _assert_computed(shown, capsys.readouterr().err)
    assert (home / "page" / "figures" / f"{figure.name}.svg").is_file()


def computed_once_from_the_command_line(figure, home, monkeypatch):
    """Run a page twice: nothing is computed again, and the notebook and its figures have the same bytes."""
    _without_rows(home, monkeypatch)
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
