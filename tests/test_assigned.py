"""The cut of assigned groups against the n-cut of the graph, and against differences."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clusterability.base.errors import InputError
from clusterability.clustering.measure import Measurement, measure
from clusterability.clustering.ncut import ncut
from clusterability.graphs.layered import LayeredGraph
from clusterability.networks.initialize import random_groups
from clusterability.networks.mlp import MLP
from clusterability.penalties.given_groups import assigned_cut
from clusterability.training.train import NetworkSpec, Training, train
from helpers import networks, random_network


def members_of(groups, n_groups):
    return [torch.nn.functional.one_hot(torch.as_tensor(g), n_groups).double()[None] for g in groups]


@given(networks(connected=True), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_it_is_the_ncut_of_the_groups(matrices, n_groups, seed):
    rng = np.random.default_rng(seed)
    sizes = [matrices[0].shape[1], *(m.shape[0] for m in matrices)]
    groups = [rng.integers(0, n_groups, size) for size in sizes]
    weights = [torch.tensor(matrix, dtype=torch.float64)[None] for matrix in matrices]
    cut, _ = assigned_cut(weights, members_of(groups, n_groups))
    assert float(cut) == pytest.approx(ncut(LayeredGraph.of(matrices), np.concatenate(groups)), abs=1e-6)


def test_the_gradient_is_that_of_central_differences():
    rng = np.random.default_rng(0)
    matrices = random_network((5, 6, 4, 3), rng, density=0.8)
    matrices[1][2] = 0
    members = members_of([rng.integers(0, 3, size) for size in (5, 6, 4, 3)], 3)
    weights = [torch.tensor(matrix)[None] for matrix in matrices]
    _, gradients = assigned_cut(weights, members)
    for layer, matrix in enumerate(matrices):
        for place, weight in np.ndenumerate(matrix):
            found = float(gradients[layer][0][place])
            if weight == 0:
                assert found == 0
                continue
            cuts = []
            for change in (1e-6, -1e-6):
                moved = [w.clone() for w in weights]
                moved[layer][0][place] += change
                cuts.append(float(assigned_cut(moved, members)[0]))
            assert found == pytest.approx((cuts[0] - cuts[1]) / 2e-6, abs=1e-7)


def test_groups_without_volume_count_nothing():
    weights = [torch.ones(1, 2, 2, dtype=torch.float64)]
    cut, [gradient] = assigned_cut(weights, members_of([[0, 0], [0, 0]], 4))
    assert float(cut) == 0
    assert not gradient.any()


def test_outputs_have_a_group_each_where_there_are_enough():
    generator = torch.Generator().manual_seed(0)
    assert random_groups((9, 8, 4), 4, generator)[-1].tolist() == [0, 1, 2, 3]
    groups = random_groups((900, 8, 40), 4, generator)
    assert all(int(group.max()) < 4 for group in groups)
    assert torch.bincount(groups[0]).min() > 150


def test_the_penalty_lowers_the_cut_of_its_groups_and_the_graph_s(digits):
    spec = NetworkSpec("digits", MLP((64, 24, 20, 10)), Training(epochs=60, pruning_epochs=0), 0)
    specs = [spec, replace(spec, training=replace(spec.training, cut_gradient=5.0))]
    plain, penalized = (states for _, states in sorted(train(specs, digits), key=lambda pair: pair[0]))
    assert penalized[60].scores["penalty"] < 5 * 0.5
    assert penalized[60].scores["penalty"] > 0
    assert plain[60].scores["penalty"] == 0

    def cut(network):
        return measure(LayeredGraph.of(network.weights), Measurement(10, 0), 0).ncut

    assert cut(penalized[60]) < 0.7 * cut(plain[60])


@pytest.mark.parametrize(("field", "value"), [("cut_gradient", -1.0), ("cut_groups", 0)])
def test_values_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(InputError, match=field):
        Training(**{field: value})
