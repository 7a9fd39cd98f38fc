"""Clusters that are there are found again, and what neurons do is told from their weights where it should be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from clusterability.lesions.stability import between, by_function, clustered, found_again, rand_index


def planted(n_groups=3, each=8, n_layers=4, seed=0, leak=0.01):
    """A network of groups that hardly touch: weights, biases, and the group of every neuron."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n_groups), each)
    inside = group[:, None] == group
    weights = [np.abs(rng.normal(1, 0.2, inside.shape)) * np.where(inside, 1.0, leak) for _ in range(n_layers - 1)]
    return weights, [np.zeros(len(group))] * (n_layers - 1), np.tile(group, n_layers)


LABELS = st.lists(st.integers(-1, 3), min_size=4, max_size=20)


@given(LABELS, st.randoms(use_true_random=False))
def test_the_index_is_scikit_learn_s_on_what_both_have(labels, random):
    others = np.array([random.randint(-1, 3) for _ in labels])
    labels = np.array(labels)
    both = (labels >= 0) & (others >= 0)
    if both.any():
        assert rand_index(labels, others) == adjusted_rand_score(labels[both], others[both])
        assert rand_index(others, labels) == pytest.approx(rand_index(labels, others))
        renamed = np.where(labels >= 0, (labels + 1) % 4, -1)
        assert rand_index(labels, renamed) == 1


def test_groups_that_hardly_touch_are_found_every_time():
    weights, biases, groups = planted()
    labels, again = found_again(weights, biases, 3, seed=0, n=2)
    assert rand_index(labels, groups) == 1
    assert set(again) == {"seeds", "noise", "balanced", "balanced-l1", "incoming"}
    assert all(index == 1 for index in again.values())


def test_clusters_of_nothing_are_not_found_in_another_network():
    rng = np.random.default_rng(0)
    labels = [clustered([rng.normal(size=(40, 40)) for _ in range(3)], 4, seed) for seed in range(3)]
    by_layer = [[own[40 * layer : 40 * layer + 40] for own in labels] for layer in range(4)]
    assert np.shape([between(own) for own in by_layer]) == (4, 3)
    assert np.abs([between(own) for own in by_layer]).max() < 0.2
    assert np.mean(between(labels)) > 0.2  # in all of the network the layers are shared


def test_groups_do_what_their_weights_say():
    weights, biases, groups = planted()
    rng = np.random.default_rng(1)
    y = rng.integers(0, 3, 600)
    x = rng.random((600, 24)) * (groups[:24] == y[:, None])  # the inputs of one group at a time
    found = by_function(weights, biases, groups, x, y, seed=0)
    assert {name: len(values) for name, values in found.items()} == dict.fromkeys(found, 2)
    assert min(found["activations"] + found["gradients"] + found["classes"]) == pytest.approx(1)
    mixed = np.random.default_rng(2).permutation(groups)
    found = by_function(weights, biases, mixed, x, y, seed=0)
    assert max(found["activations"] + found["gradients"] + found["classes"]) < 0.5


def test_gradients_are_those_of_finite_differences():
    """Neurons whose outgoing weights are alike have gradients that go together, whatever they are active on."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=(12, 10))
    onto = np.repeat(np.eye(3), 4, axis=1) + 0.01 * rng.normal(size=(3, 12))
    labels = np.concatenate([np.zeros(10, int), np.repeat([0, 1, 2], 4), np.zeros(3, int)])
    x, y = rng.normal(size=(400, 10)), rng.integers(0, 3, 400)
    found = by_function([first, onto], [np.zeros(12), np.zeros(3)], labels, x, y, seed=0)
    assert found["gradients"] == [pytest.approx(1)]
    assert abs(found["activations"][0]) < 0.5


def test_a_layer_in_one_cluster_says_nothing():
    weights, biases, groups = planted()
    found = by_function(weights, biases, np.zeros_like(groups), np.ones((5, 24)), np.zeros(5, int), seed=0)
    assert np.isnan(found["activations"] + found["gradients"] + found["classes"]).all()
