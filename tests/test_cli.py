"""Journeys on the command line, with right and wrong input."""

import json
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn.utils import prune

from clusterability.base.errors import InputError
from clusterability.clustering.measure import Measurement, measure
from clusterability.experiments.grid import presets
from clusterability.graphs.layered import LayeredGraph
from clusterability.networks.files import read_network
from clusterability.networks.mlp import MLP
from clusterability.notebooks import figures, pages
from clusterability.training.pruning import magnitude_mask
from helpers import code_cells, invoke, refused, untrained_stack

KEYS = ["ncut", "shuffled_mean", "shuffled_sd", "z", "p", "effective_clusters", "negligible_clusters", "in_out_ratio",
        "vertices", "labels"]  # fmt: skip


@pytest.fixture
def matrices():
    rng = np.random.default_rng(0)
    network = [rng.normal(size=shape).astype(np.float32) for shape in ((8, 12), (8, 8), (3, 8))]
    network[0][2] = network[1][:, 2] = 0  # one isolated hidden neuron
    return network


def measured(file, *options):
    result = invoke("measure", file, "--clusters", 3, "--shuffles", 6, "--json", *options)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def save_npz(path, matrices):
    np.savez(path, **{f"layer{i}": matrix for i, matrix in enumerate(matrices)})


def test_measure_prints_what_the_library_measures(in_folder, matrices):
    save_npz("net.npz", matrices)
    report = measured("net.npz", "--seed", 5)
    expected = measure(LayeredGraph.of(matrices), Measurement(3, 6), seed=5)
    assert list(report) == KEYS
    assert report["ncut"] == expected.ncut
    assert report["z"] == expected.z
    assert report["p"] == expected.p
    assert report["vertices"] == 12 + 8 + 8 + 3 - 1
    assert [len(layer) for layer in report["labels"]] == [12, 8, 8, 3]
    assert report["labels"][1][2] == -1
    assert sum(layer.count(-1) for layer in report["labels"]) == 1


def test_all_formats_give_the_same_numbers(in_folder, matrices):
    save_npz("net.npz", matrices)
    names = ["layers.2.weight", "layers.9.weight", "layers.10.weight"]
    tensors = {name: torch.from_numpy(matrix) for name, matrix in zip(names, matrices, strict=True)}
    tensors["layers.2.bias"] = torch.ones(8)
    save_file(tensors, "net.safetensors")
    torch.save(tensors, "net.pt")
    torch.save({"state_dict": tensors, "epoch": 3}, "checkpoint.pth")
    first = measured("net.npz")
    for file in ("net.safetensors", "net.pt", "checkpoint.pth"):
        assert measured(file) == first


def test_a_sequential_models_state_dict_can_be_measured(in_folder):
    model = torch.nn.Sequential(torch.nn.Linear(10, 6), torch.nn.ReLU(), torch.nn.Linear(6, 4))
    torch.save(model.state_dict(), "model.pt")
    assert measured("model.pt")["vertices"] == 20


@pytest.mark.parametrize("kind", ["pruned", "parameters", "sparse", "checkpoint"])
def test_a_state_dict_as_users_keep_it(in_folder, kind):
    model = torch.nn.Sequential(torch.nn.Linear(12, 12), torch.nn.ReLU(), torch.nn.Linear(12, 5))
    for layer in (model[0], model[2]):
        prune.l1_unstructured(layer, "weight", 0.5)
    masked = [layer.weight.detach().numpy() for layer in (model[0], model[2])]
    pruned = model.state_dict()
    for layer in (model[0], model[2]):
        prune.remove(layer, "weight")
    kept = {
        "pruned": pruned,
        "parameters": dict(model.named_parameters()),
        "sparse": {name: tensor.to_sparse() for name, tensor in model.state_dict().items()},
        "checkpoint": {"epoch": 3, "model_state_dict": model.state_dict()},
    }
    torch.save(kept[kind], "kept.pt")
    for found, expected in zip(read_network(Path("kept.pt"))[0], masked, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_null_models_differ_on_a_sparse_network(in_folder):
    stack = untrained_stack(MLP((30, 20, 20, 5)), [torch.Generator().manual_seed(0)])
    save_npz("net.npz", [(w * magnitude_mask(w, 0.8))[0].numpy() for w in stack.weights])
    layer, nonzero = measured("net.npz"), measured("net.npz", "--null", "nonzero")
    assert layer["ncut"] == nonzero["ncut"]
    assert layer["shuffled_mean"] != nonzero["shuffled_mean"]


def test_measure_without_json_is_for_people(in_folder, matrices):
    save_npz("net.npz", matrices)
    result = invoke("measure", "net.npz", "--clusters", 3, "--shuffles", 6)
    assert result.exit_code == 0
    for word in ("n-cut", "shuffled", "z", "p", "in/out ratio", "30 vertices"):
        assert word in result.stdout
    assert "beware" not in result.stdout


def test_measure_warns_of_dead_neurons(in_folder, matrices):
    matrices[0][3], matrices[1][:, 3], matrices[1][1], matrices[2][:, 1] = [1e-25] * 4
    matrices[1][1, 3] = 1e-20
    save_npz("net.npz", matrices)
    n_dead = measured("net.npz")["negligible_clusters"]
    assert n_dead in (1, 2)
    result = invoke("measure", "net.npz", "--clusters", 3, "--shuffles", 1)
    assert f"clusters of next to no volume: {n_dead} (dead neurons" in result.stdout


def test_one_shuffle_has_no_z_score(in_folder, matrices):
    save_npz("net.npz", matrices)
    result = invoke("measure", "net.npz", "--clusters", 3, "--shuffles", 1, "--json")
    assert json.loads(result.stdout)["z"] is None


def test_measure_refuses_values_out_of_range(in_folder, matrices):
    cases = [
        (("--clusters", 1), ["1 cluster", "at least 2"]),
        (("--clusters", 31), ["31 clusters", "30 vertices"]),
        (("--shuffles", 0), ["0 shuffles", "at least 1"]),
        (("--null", "edges"), ["'edges'", "layer, nonzero"]),
        (("--seed", -1), ["-1"]),
        (("--clusters", "many"), ["'many'"]),
    ]
    for options, words in cases:
        save_npz("net.npz", matrices)
        assert refused(invoke("measure", "net.npz", *options), *words)


def _broken_files(matrices):
    def with_value(value):
        changed = [matrix.astype(float) for matrix in matrices]
        changed[1][0, :2] = value
        return changed

    def truncated(name):
        save_npz("whole.npz", matrices)
        with open("whole.npz", "rb") as whole, open(name, "wb") as part:
            part.write(whole.read()[:500])

    def pickled(name):
        np.savez(name, layer0=np.array([{"a": 1}], dtype=object))

    def write(name, content):
        with open(name, "wb") as file:
            file.write(content)

    return {
        "missing.npz": (lambda name: None, "is not a file"),
        "empty.npz": (lambda name: write(name, b""), "is empty"),
        "truncated.npz": (truncated, "no readable .npz"),
        "pickled.npz": (pickled, "no readable .npz"),
        "noise.npz": (lambda name: write(name, b"no weights at all"), "no readable .npz"),
        "noise.safetensors": (lambda name: write(name, b"no weights at all"), "no readable safetensors"),
        "noise.pt": (lambda name: write(name, b"no weights at all"), "no torch state_dict"),
        "notes.txt": (lambda name: write(name, b"hello"), "'.txt'"),
        "names.npz": (lambda name: np.savez(name, weights=matrices[0]), "layer0"),
        "gap.npz": (lambda name: np.savez(name, layer0=matrices[0], layer2=matrices[2]), "without a gap"),
        "chain.npz": (lambda name: save_npz(name, [matrices[0], matrices[2].T]), "do not chain"),
        "nan.npz": (lambda name: save_npz(name, with_value(np.nan)), "NaN or infinite"),
        "inf.npz": (lambda name: save_npz(name, with_value(np.inf)), "NaN or infinite"),
        "zero.npz": (lambda name: save_npz(name, [0 * m for m in matrices]), "all weights are zero"),
        "vector.npz": (lambda name: save_npz(name, [np.ones(4)]), "2-D"),
        "words.npz": (lambda name: save_npz(name, [np.array([["a", "b"]])]), "real numbers"),
        "complex.npz": (lambda name: save_npz(name, [np.ones((2, 2)) * 1j]), "real numbers"),
        "conv.pt": (lambda name: torch.save({"w": torch.ones(2, 2, 3, 3)}, name), "more than two dimensions"),
        "list.pt": (lambda name: torch.save([torch.ones(2, 2)], name), "state_dict of tensors"),
        "model.pt": (lambda name: torch.save(torch.nn.Linear(2, 2), name), "weights_only"),
        "huge.npz": (lambda name: save_npz(name, with_value(1e308)), "too large to be added up"),
        "meta.pt": (
            lambda name: torch.save({"w": torch.ones(2, 2, device="meta")}, name),
            "numbers of w cannot be read",
        ),
        "complex.pt": (lambda name: torch.save({"w": torch.ones(2, 2).cfloat().conj()}, name), "real numbers"),
        "norm.pt": (
            lambda name: torch.save(
                torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)).state_dict(), name
            ),
            "batch normalization (1.running_var)",
        ),
        "normed.pt": (
            lambda name: torch.save(
                torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(2, 2)).state_dict(), name
            ),
            "parametrized weights",
        ),
        "ring.safetensors": (
            lambda name: save_file({"encoder.weight": torch.ones(2, 5), "decoder.weight": torch.ones(5, 2)}, name),
            "which layer is first (decoder.weight, encoder.weight)",
        ),
        "n" * 300 + ".npz": (lambda name: None, "is not a file"),
    }


def test_measure_refuses_files_that_are_no_network(in_folder, matrices):
    for name in list(_broken_files([])):
        make, words = _broken_files(matrices)[name]
        make(name)
        assert refused(invoke("measure", name, "--clusters", 3), name, words)


def test_list_names_every_figure_with_its_paper():
    result = invoke("list")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == len(figures()) >= 2
    for line, notebook in zip(lines, figures().values(), strict=True):
        assert line.startswith(notebook.name)
        assert notebook.paper in line
        assert line.endswith(notebook.title)


def test_run_refuses_names_and_types_before_anything_runs(tmp_path):
    cases = [
        (("no-such-figure",), ["'no-such-figure'", "mlp-regularization"]),
        (("mlp-regularization", "-p", "n_replicats", "3"), ["'n_replicats'", "n_replicates"]),
        (("mlp-regularization", "-p", "n_replicates", "three"), ["n_replicates", "whole number", "'three'"]),
        (("mlp-regularization", "-p", "n_replicates", "2.5"), ["n_replicates", "2.5"]),
        (("mlp-regularization", "-p", "recompute", "1"), ["recompute", "true or false"]),
        (("mlp-regularization", "-p", "hidden", '["a"]'), ["hidden", "whole number"]),
        ((), ["name the figures"]),
        (("--all", "-p", "n_replicats", "3"), ["'n_replicats'"]),
        (("--all", "--preset", "tiny"), ["'tiny'"]),
        (("mlp-regularization", "--all"), ["name the figures"]),
    ]
    for arguments, words in cases:
        target = tmp_path / "runs"
        assert refused(invoke("run", *arguments, "--output", target), *words)
        assert not target.exists()


def test_run_all_gives_a_preset_to_the_figures_that_have_it(tmp_path, monkeypatch):
    executed = {}

    def execute(notebook, values, folder, note):
        executed[notebook.name] = values
        assert not note
        return folder / notebook.path.name

    monkeypatch.setattr("clusterability.notebooks.execute", execute)
    result = invoke("run", "--all", "--preset", "paper", "-p", "seed", "3", "--output", tmp_path)
    assert result.exit_code == 0, result.output
    assert list(executed) == [page.name for page in pages()]
    assert executed["cnn-regularization"] == presets("cnn-regularization")["paper"] | {"seed": 3}
    assert executed["mlp-regularization"] == {"seed": 3}
    assert executed["agreement"] == {}


def test_a_page_refuses_values_before_long_work():
    cases = [
        ("datasets", ["mnits"], ["'mnits'", "fashion_mnist"]),
        ("conditions", ["L3"], ["'L3'", "Control"]),
        ("n_clusters", 1, ["1 cluster", "at least 2"]),
        ("n_clusters", 1819, ["1819 clusters", "1818 vertices"]),
        ("null_model", "edges", ["'edges'", "nonzero"]),
        ("hidden", [0], ["[784, 0, 10]"]),
        ("epochs", 0, ["epochs 0"]),
        ("device", "abacus", ["'abacus'"]),
    ]
    for parameter, value, words in cases:
        cells = code_cells(nbformat.read(figures()["mlp-regularization"].path, as_version=4))
        names = {}
        exec(cells[0].source, names)
        names[parameter] = value
        with pytest.raises(InputError) as failure:
            exec(cells[1].source, names)
        assert all(word in str(failure.value) for word in words)


def test_run_refuses_presets_and_counts_before_a_page_starts(tmp_path):
    cases = [
        (("--preset", "fast"), ["'fast'", "quick"]),
        (("--preset", "paper"), ["'paper'", "quick"]),
        (("-p", "n_shuffles", "0"), ["n_shuffles 0", "at least 1"]),
    ]
    for options, words in cases:
        assert refused(invoke("run", "mlp-regularization", *options, "--output", tmp_path / "runs"), *words)
        assert not (tmp_path / "runs").exists()


def test_run_tells_in_one_sentence_what_a_page_refuses_and_leaves_the_earlier_file(tmp_path):
    earlier = tmp_path / "mlp-regularization.ipynb"
    earlier.write_text("earlier")
    assert refused(
        invoke("run", "mlp-regularization", "-p", "conditions", "L3", "--output", tmp_path), "'L3'", "Control"
    )
    assert earlier.read_text() == "earlier"
    assert [path.name for path in tmp_path.iterdir()] == [earlier.name]


def test_run_names_a_stored_row_that_is_missing(tmp_path):
    result = invoke("run", "mlp-regularization", "--stored", "-p", "seed", "77", "--output", tmp_path / "runs")
    assert refused(result, "40 of 40 rows are not at hand", "'Control' on mnist with seed 77")
