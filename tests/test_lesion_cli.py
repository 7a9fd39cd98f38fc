"""Journeys of ``clusterability lesion``."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clusterability.clustering.measure import Measurement, measure
from clusterability.experiments.grid import architecture
from clusterability.graphs.layered import LayeredGraph
from clusterability.lesions import lesion as lesions
from clusterability.networks.files import read_network
from clusterability.training.train import NetworkSpec, Training, train
from helpers import invoke, refused


@pytest.fixture(scope="module")
def network(digits):
    spec = NetworkSpec("digits", architecture("digits", [40, 40]), Training(epochs=30, pruning_epochs=0), 0)
    [(_, states)] = train([spec], digits)
    return states[30]


def save_npz(network):
    arrays = {f"layer{i}": weight for i, weight in enumerate(network.weights)}
    np.savez("net.npz", **arrays, **{f"bias{i}": bias for i, bias in enumerate(network.biases)})


def lesioned(file, *options):
    result = invoke("lesion", file, "--dataset", "digits", "--clusters", 4, "--shuffles", 10, "--json", *options)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_lesion_prints_what_the_library_finds(in_folder, network, digits):
    save_npz(network)
    report = lesioned("net.npz", "--seed", 3)
    assert report["test_accuracy"] == pytest.approx(network.scores["test_accuracy"])
    labels = measure(LayeredGraph.of(network.weights), Measurement(4, 0), 3).labels
    on_test = lesions.LesionedNetwork(network.weights, network.biases, *digits.flat("test"))
    expected = lesions.single_lesions(on_test, lesions.sub_modules(labels), 10, 3)
    assert len(report["sub_modules"]) == len(expected)
    for line, made in zip(report["sub_modules"], expected, strict=True):
        assert (line["layer"], line["cluster"]) == (made.module.layer, made.module.cluster)
        assert line["accuracy"] == pytest.approx(made.accuracy)
        assert line["drop"] == pytest.approx(made.drop)
        assert line["p"] == made.released_p
        assert line["p"] <= line["q"] <= 1 or line["p"] < made.p


def test_all_formats_bring_their_biases(in_folder, network):
    save_npz(network)
    tensors = {}
    for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        tensors |= {f"{2 * layer}.weight": torch.from_numpy(weight), f"{2 * layer}.bias": torch.from_numpy(bias)}
    save_file(tensors, "net.safetensors")
    torch.save(tensors, "net.pt")
    reports = [lesioned(f"net.{suffix}") for suffix in ("npz", "safetensors", "pt")]
    assert reports[0] == reports[1] == reports[2]


def test_layers_without_biases_have_zeros(in_folder, network):
    np.savez("net.npz", **{f"layer{i}": weight for i, weight in enumerate(network.weights)}, bias1=network.biases[1])
    _, biases = read_network(in_folder / "net.npz")
    assert [bool(bias.any()) for bias in biases] == [False, True, False]
    assert lesioned("net.npz")["test_accuracy"] < network.scores["test_accuracy"]


def test_lesion_without_json_is_for_people(in_folder, network):
    save_npz(network)
    result = invoke("lesion", "net.npz", "--dataset", "digits", "--clusters", 3, "--shuffles", 5)
    assert result.exit_code == 0
    for word in ("test accuracy", "layer  cluster", "5 random lesions", "Digits"):
        assert word in result.stdout


def test_lesion_refuses_values_out_of_range(in_folder, network):
    cases = [
        (("--dataset", "digit"), ["'digit'", "digits"]),
        (("--dataset", "mnist"), ["64 inputs", "784"]),
        (("--dataset", "digits", "--shuffles", 0), ["0 shuffles", "at least 1"]),
        (("--dataset", "digits", "--clusters", 1), ["1 cluster", "at least 2"]),
        ((), ["--dataset"]),
    ]
    for options, words in cases:
        save_npz(network)
        assert refused(invoke("lesion", "net.npz", *options), *words)


def test_lesion_refuses_biases_that_suit_no_layer(in_folder, network):
    for bias in [np.ones(3), np.full(40, np.nan), np.ones((40, 1))]:
        np.savez("net.npz", **{f"layer{i}": weight for i, weight in enumerate(network.weights)}, bias0=bias)
        assert refused(invoke("lesion", "net.npz", "--dataset", "digits"), "bias0", "40 finite numbers")
