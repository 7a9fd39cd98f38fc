"""Lesions against networks whose neurons are set to zero by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterability.base.errors import InputError
from clusterability.lesions.lesion import (
    Lesion,
    cluster_accuracies,
    conditional_lesions,
    lesion,
    lesion_beside,
    random_sets,
    shuffled_labels,
    single_lesions,
)
from clusterability.lesions.network import LesionedNetwork, SubModule, check_fits, sub_modules
from helpers import random_network

SIZES = (6, 9, 8, 7, 4)


def example(seed=0, sizes=SIZES, n_examples=300):
    """A random network, and labels it mostly gets right."""
    rng = np.random.default_rng(seed)
    weights = random_network(sizes, rng, dtype=np.float32)
    biases = [rng.normal(size=len(weight)).astype(np.float32) for weight in weights]
    x = rng.normal(size=(n_examples, sizes[0])).astype(np.float32)
    y = outputs(weights, biases, x).argmax(1)
    noise = rng.random(n_examples) < 0.1
    y[noise] = rng.integers(0, sizes[-1], noise.sum())
    y[: sizes[-1]] = np.arange(sizes[-1])
    return weights, biases, x, y


def outputs(weights, biases, x, silenced=()):
    """Forward pass in numpy; ``silenced``: pairs of hidden layer and neurons whose output is zero."""
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True), 1):
        x = x @ weight.T + bias
        if layer < len(weights):
            x = np.maximum(x, 0)
            for where, neurons in silenced:
                if where == layer:
                    x[:, neurons] = 0
    return x


def accuracy(weights, biases, x, y, *silenced):
    return float((outputs(weights, biases, x, silenced).argmax(1) == y).mean())


def some_labels(seed=0, n_clusters=3, sizes=SIZES):
    rng = np.random.default_rng(seed)
    labels = [rng.integers(0, n_clusters, size) for size in sizes]
    labels[2][:2] = -1  # isolated
    return labels


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_accuracies_after_lesions_are_those_of_neurons_set_to_zero(layer):
    weights, biases, x, y = example()
    network = LesionedNetwork(weights, biases, x, y)
    for share in (0.1, 0.25, 0.8):
        silenced = np.random.default_rng(1).random((40, SIZES[layer])) < share
        expected = [accuracy(weights, biases, x, y, (layer, np.flatnonzero(row))) for row in silenced]
        np.testing.assert_allclose(network.accuracies(layer, silenced), expected, atol=1e-12)
        assert len(set(expected)) > 3


def test_blocks_of_lesions_and_examples_do_not_show(monkeypatch):
    weights, biases, x, y = example(n_examples=1000)
    network = LesionedNetwork(weights, biases, x, y)
    silenced = np.random.default_rng(1).random((40, SIZES[1])) < 0.4
    whole = network.class_accuracies(1, silenced)
    monkeypatch.setattr("clusterability.lesions.network._ROWS", 512)
    np.testing.assert_allclose(network.class_accuracies(1, silenced), whole, atol=1e-12)


def test_a_class_without_examples_leaves_the_accuracy_as_it_is():
    weights, biases, x, y = example()
    seen = y != 1
    network = LesionedNetwork(weights, biases, x[seen], y[seen])
    silenced = np.random.default_rng(1).random((5, SIZES[2])) < 0.3
    expected = [accuracy(weights, biases, x[seen], y[seen], (2, np.flatnonzero(row))) for row in silenced]
    np.testing.assert_allclose(network.accuracies(2, silenced), expected, atol=1e-12)
    assert np.isnan(network.class_accuracies(2, silenced)).tolist() == [[False, True, False, False]] * 5
    [first, *_] = single_lesions(network, sub_modules(some_labels()), 10, 0)
    assert np.isfinite([first.before, first.accuracy, first.drop, first.p, *first.controls]).all()


def test_class_accuracies_average_to_the_accuracy():
    network = LesionedNetwork(*example())
    by_class = network.class_accuracies(2, np.zeros((1, SIZES[2]), bool))
    hits = by_class[0] * network.class_sizes.numpy()
    assert network.accuracy_of(by_class)[0] == pytest.approx(hits.sum() / 300)


def test_a_network_without_a_sub_module_is_that_with_its_neurons_set_to_zero():
    weights, biases, x, y = example()
    network = LesionedNetwork(weights, biases, x, y)
    first, second = (SubModule(layer, 0, np.array([0, 2, 3]), np.arange(SIZES[layer])) for layer in (1, 3))
    for given_module, other in ((first, second), (second, first)):
        silent = network.without(given_module)
        silenced = np.zeros((1, SIZES[other.layer]), bool)
        silenced[0, other.neurons] = True
        expected = accuracy(
            weights, biases, x, y, (given_module.layer, given_module.neurons), (other.layer, other.neurons)
        )
        assert silent.accuracies(other.layer, silenced)[0] == pytest.approx(expected)
    assert accuracy(weights, biases, x, y) == pytest.approx(network.accuracies(1, np.zeros((1, SIZES[1]), bool))[0])


def test_sub_modules_are_a_partition_of_the_hidden_neurons_that_are_not_isolated():
    labels = some_labels()
    modules = sub_modules(labels)
    for layer in (1, 2, 3):
        own = [module for module in modules if module.layer == layer]
        together = np.sort(np.concatenate([module.neurons for module in own]))
        np.testing.assert_array_equal(together, np.flatnonzero(labels[layer] >= 0))
        assert sum(module.share for module in own) == pytest.approx(1)
    assert {module.layer for module in modules} == {1, 2, 3}


@given(st.integers(0, 2**32 - 1))
def test_a_random_clustering_keeps_sizes_and_isolated_neurons(seed):
    labels = some_labels(seed % 7)
    shuffled = shuffled_labels(labels, np.random.default_rng(seed))
    for own, other in zip(labels, shuffled, strict=True):
        np.testing.assert_array_equal(np.sort(own), np.sort(other))
        np.testing.assert_array_equal(own < 0, other < 0)


@given(st.integers(0, 2**32 - 1))
def test_random_sets_are_of_the_same_size_and_never_isolated(seed):
    module = SubModule(1, 0, np.array([1, 2]), np.array([1, 2, 4, 5, 7]))
    sets = random_sets(module, 50, 9, np.random.default_rng(seed))
    assert (sets.sum(axis=1) == 2).all()
    assert not sets[:, [0, 3, 6, 8]].any()


def test_all_candidates_are_drawn_equally_often():
    module = SubModule(1, 0, np.array([1, 2]), np.array([1, 2, 4, 5, 7]))
    counts = random_sets(module, 5000, 9, np.random.default_rng(0)).sum(axis=0)[module.candidates]
    np.testing.assert_allclose(counts / 5000, 2 / 5, atol=0.03)


def separate_networks():
    """Two networks side by side, each of which tells two of four classes apart by a sign of its own."""
    rng = np.random.default_rng(0)
    part = [np.array([[1.0], [-1.0]] * 4), np.kron(np.eye(2), np.ones((4, 4)))[:, [0, 4, 1, 5, 2, 6, 3, 7]],
            np.kron(np.eye(2), np.ones((1, 4)))]  # fmt: skip
    weights = [np.kron(np.eye(2), matrix) for matrix in part]
    biases = [np.zeros(len(weight)) for weight in weights]
    which, sign = rng.integers(0, 2, 400), rng.choice([-1.0, 1.0], 400)
    x = np.zeros((400, 2))
    x[np.arange(400), which] = sign * rng.uniform(0.5, 1.5, 400)
    y = 2 * which + (sign < 0)
    labels = [np.repeat([0, 1], len(layer) // 2) for layer in (np.zeros(2), *(np.zeros(len(w)) for w in weights))]
    return weights, biases, x.astype(np.float32), y, labels


def test_a_part_s_lesion_costs_its_own_classes_and_no_others():
    weights, biases, x, y, labels = separate_networks()
    network = LesionedNetwork(weights, biases, x, y)
    modules = sub_modules(labels)
    made = single_lesions(network, modules, 100, 0)
    assert made[0].before == 1
    for result in made:
        own = [2 * result.module.cluster, 2 * result.module.cluster + 1]
        others = [c for c in range(4) if c not in own]
        np.testing.assert_allclose(result.class_drops[others], 0)
        assert result.class_drops[own].max() == 1
        assert result.drop > 0.2


def test_clusters_silenced_as_a_whole_are_all_their_hidden_neurons():
    weights, biases, x, y = example()
    labels = some_labels()
    expected = [
        accuracy(weights, biases, x, y, *((layer, np.flatnonzero(labels[layer] == cluster)) for layer in (1, 2, 3)))
        for cluster in range(3)
    ]
    np.testing.assert_allclose(cluster_accuracies(weights, biases, labels, x, y), expected, atol=1e-12)


def test_lesions_do_not_depend_on_threads_or_on_one_another():
    network = LesionedNetwork(*example())
    modules = sub_modules(some_labels())
    shares = []
    one = single_lesions(network, modules, 20, 3, workers=1, progress=shares.append)
    two = single_lesions(network, modules, 20, 3, workers=2)
    assert sum(shares) == pytest.approx(1)
    for a, b in zip(one, two, strict=True):
        assert (a.accuracy, a.before) == (b.accuracy, b.before)
        np.testing.assert_array_equal(a.controls, b.controls)
    other = single_lesions(network, modules, 20, 4)
    assert any(not np.array_equal(a.controls, b.controls) for a, b in zip(one, other, strict=True))


def test_conditional_lesions_are_those_of_every_ordered_pair_in_different_layers():
    weights, biases, x, y = example()
    network = LesionedNetwork(weights, biases, x, y)
    modules = sub_modules(some_labels())
    shares = []
    made = list(conditional_lesions(network, modules, 5, 0, workers=2, progress=shares.append))
    assert sum(shares) == pytest.approx(1)
    expected = {((a.layer, a.cluster), (b.layer, b.cluster)) for a in modules for b in modules if a.layer != b.layer}
    assert {((m.module.layer, m.module.cluster), (m.given.layer, m.given.cluster)) for m in made} == expected
    for result in made:
        first, second = (result.given.layer, result.given.neurons), (result.module.layer, result.module.neurons)
        assert result.before == pytest.approx(accuracy(weights, biases, x, y, first))
        assert result.accuracy == pytest.approx(accuracy(weights, biases, x, y, first, second))


def test_ties_count_against_a_lesion_but_not_as_released():
    module = SubModule(1, 0, np.array([0]), np.arange(4))
    controls = np.array([0.5, 0.7, 0.7, 0.9])
    made = Lesion(module, before=0.95, accuracy=0.7, class_drops=np.zeros(2), controls=controls)
    assert made.released_p == pytest.approx(2 / 5)
    assert made.p == pytest.approx(4 / 5)
    assert made.drop == pytest.approx(0.25)
    assert made.z == pytest.approx((0.7 - controls.mean()) / controls.std())


def test_a_lesion_beside_another_shares_its_random_sets():
    weights, biases, x, y = example()
    network = LesionedNetwork(weights, biases, x, y)
    own, other = SubModule(2, 0, np.array([0, 3]), np.arange(8)), SubModule(2, 1, np.array([1, 5]), np.arange(8))
    first = lesion(network, own, 10, np.random.default_rng(0))
    second = lesion_beside(network, other, first)
    assert second.controls is first.controls
    assert second.accuracy == pytest.approx(accuracy(weights, biases, x, y, (2, other.neurons)))
    assert second.before == first.before


def test_networks_that_do_not_fit_are_an_input_error():
    cases = [((6, 4), "without a hidden layer"), ((5, 9, 4), "5 inputs and 4 outputs: the data set needs 6 and 4"),
     ((6, 9, 3), "6 inputs and 3 outputs")]  # fmt: skip
    for sizes, message in cases:
        with pytest.raises(InputError, match=message):
            check_fits(random_network(sizes, np.random.default_rng(0)), 6, 4)


@pytest.mark.parametrize("factor", [1e39, 1e-60])
def test_networks_beyond_single_precision_are_refused_instead_of_scored_as_zero_or_infinite(factor):
    weights, biases, x, y = example()
    with pytest.raises(InputError, match="single precision"):
        LesionedNetwork([weight.astype(float) * factor for weight in weights], biases, x, y)
