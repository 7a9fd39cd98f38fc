"""Convolutional networks compute what PyTorch's own layers do, and are clustered as the papers say."""

from itertools import combinations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from clusterability.base.errors import InputError
from clusterability.clustering.measure import Measurement
from clusterability.experiments import store as results
from clusterability.experiments.grid import KEY_VERSION, Run
from clusterability.graphs.channels import NORMS
from clusterability.networks.cnn import CNN
from clusterability.networks.mlp import MLP
from clusterability.networks.sequential import sequential, taken
from clusterability.training.spec import NetworkSpec, Training
from helpers import assert_sequential_state
from helpers import sequential as plain

SMALL = CNN((2, 9, 8), ((4, 6), (5,)), (7, 6), 3)
NORMALIZED = CNN((2, 9, 8), ((4, 6), (5,)), (7, 6), 3, batch_norm=True)
LAYERS = (torch.nn.Conv2d, torch.nn.Linear)
VGG = CNN((3, 32, 32), ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3), (512, 512), batch_norm=True)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_network(architecture, seed=0):
    """A network of which no number has a special value."""
    network = architecture.untrained(generator(seed))
    for array in (*network.biases, *network.normalizations):
        array[:] = np.random.default_rng(array.size).uniform(0.5, 1.5, array.shape)
    return network


@pytest.mark.parametrize("architecture", [SMALL, NORMALIZED, CNN((1, 4, 4), ((3,),), (), 2, batch_norm=True)])
@pytest.mark.parametrize("training", [False, True])
def test_the_forward_pass_is_that_of_pytorch_s_layers(architecture, training):
    network = random_network(architecture)
    ours, theirs = (make(architecture, network).train(training) for make in (sequential, plain))
    x = torch.rand(6, *architecture.image, generator=generator(1))
    for _ in range(2):  # running statistics move along
        assert_allclose(ours(x).detach(), theirs(x).detach(), rtol=1e-4, atol=1e-5)
    assert_sequential_state(taken(ours, {}), theirs, rtol=1e-5)


@pytest.mark.parametrize("architecture", [SMALL, NORMALIZED])
def test_gradients_are_those_of_pytorch_s_layers_whatever_the_layout_in_memory(architecture):
    network = random_network(architecture)
    ours, theirs = (make(architecture, network).double() for make in (sequential, plain))
    x = torch.rand(6, *architecture.image, generator=generator(1), dtype=torch.float64)
    for model in (ours, theirs):
        model(x).square().sum().backward()
    weighted = ([layer for layer in model if isinstance(layer, LAYERS)] for model in (ours, theirs))
    for own, other in zip(*weighted, strict=True):
        assert_allclose(own.weight.grad, other.weight.grad, atol=1e-8)
        assert_allclose(own.bias.grad, other.bias.grad, atol=1e-8)
    assert ours[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_a_module_takes_and_gives_back_a_network():
    network = random_network(NORMALIZED)
    module, before = sequential(NORMALIZED, network), torch.get_rng_state()
    again = taken(sequential(NORMALIZED, network), {"penalty": 1.0})
    assert torch.equal(torch.get_rng_state(), before)  # nothing drawn
    for part in ("weights", "biases", "normalizations"):
        for own, given in zip(getattr(again, part), getattr(network, part), strict=True):
            assert_array_equal(own, given)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert all(weight.any() for weight in network.weights)  # a module's numbers are its own


def test_what_hidden_layers_pass_on_can_be_changed():
    class Nothing(torch.nn.Module):
        def forward(self, x):
            shapes.append(tuple(x.shape[1:]))
            return torch.zeros_like(x)

    network, shapes = random_network(SMALL), []
    outputs = sequential(SMALL, network, dropout=[Nothing() for _ in range(5)])(torch.rand(2, 2, 9, 8))
    assert shapes == [(4, 9, 8), (6, 4, 4), (5, 2, 2), (7,), (6,)]
    assert_array_equal(outputs.detach(), np.tile(network.biases[-1], (2, 1)))


def test_the_papers_networks_have_the_papers_sizes():
    small = CNN((1, 28, 28), ((64, 64), (64,)), (128,))
    assert (small.n_vertices, VGG.n_vertices) == (192, 4224)
    assert small.n_flat == 7 * 7 * 64
    assert VGG.n_flat == 512
    assert VGG.n_normalized == 13 + 1
    n_parameters = sum(weight.size for weight in small.untrained(generator()).weights)
    assert n_parameters == 9 * (64 + 2 * 64 * 64) + 3136 * 128 + 128 * 10


def test_names_tell_architectures_apart():
    blocks = [((8, 8),), ((8,), (8,)), ((8, 9),)]
    some = [CNN((1, 8, 8), b, d, 10, n) for b in blocks for d in ((), (8,), (8, 8)) for n in (False, True)]
    some += [CNN((2, 8, 8), blocks[0]), CNN((1, 8, 9), blocks[0]), CNN((1, 8, 8), blocks[0], (), 9)]
    assert len({one.name for one in some}) == len(some)


def test_lists_make_the_same_architecture_as_tuples():
    assert CNN([1, 8, 8], [[4, 4], [4]], [5]) == CNN((1, 8, 8), ((4, 4), (4,)), (5,))
    assert hash(CNN([1, 8, 8], [[4]]))


def test_weights_start_uniform_within_glorot_s_limits_and_all_else_neutral():
    network = CNN((3, 8, 8), ((64, 64),), (50,), batch_norm=True).untrained(generator())
    for weight, fans in zip(network.weights, [9 * 67, 9 * 128, 1024 + 50, 60], strict=True):
        limit = np.sqrt(6 / fans)
        assert_allclose([weight.min(), weight.max()], [-limit, limit], rtol=0.05)
        assert abs(weight.mean()) < 5 * limit / np.sqrt(3 * weight.size)
        assert_allclose(weight.std(), limit / np.sqrt(3), rtol=0.05)
    assert not any(bias.any() for bias in network.biases)
    assert [own.shape for own in network.normalizations] == [(4, 64), (4, 64), (4, 50)]
    assert all((own == [[1], [0], [0], [1]]).all() for own in network.normalizations)


@pytest.mark.parametrize("norm", NORMS)
def test_matrices_hold_the_norms_of_all_kernels_but_the_first_convolution_s(norm):
    network = random_network(SMALL)
    matrices = SMALL.graph(network, norm=norm).blocks
    assert [matrix.shape for matrix in matrices] == [(6, 4), (5, 6)]
    for matrix, kernels in zip(matrices, network.weights[1:3], strict=True):
        for (o, i), value in np.ndenumerate(matrix):
            kernel = kernels[o, i].astype(float)
            expected = {"induced": np.linalg.norm(kernel, 1), "entrywise": np.abs(kernel).sum(),
                        "frobenius": np.linalg.norm(kernel)}  # fmt: skip
            assert_allclose(value, expected[norm], rtol=1e-6)


def test_folding_scales_what_enters_a_channel_as_its_normalization_does():
    network = random_network(NORMALIZED)
    plain, folded = (NORMALIZED.graph(network, fold=fold).blocks for fold in (False, True))
    for layer in (1, 2):
        gamma, _, _, variance = network.normalizations[layer].astype(float)
        factors = np.abs(gamma) / np.sqrt(variance + 1e-3)
        assert_allclose(folded[layer - 1], plain[layer - 1] * factors[:, None])
        assert not np.allclose(folded[layer - 1], plain[layer - 1])


def test_graphs_that_cannot_be_had_are_refused():
    cases = [
        (CNN((1, 8, 8), ((4,),)), {}, "one convolution"), (SMALL, {"fold": True}, "no batch normalization"),
        (SMALL, {"norm": "nuclear"}, "nuclear"), (MLP((4, 2)), {"norm": "frobenius"}, "no kernels"),
        (MLP((4, 2)), {"fold": True}, "no batch normalization"),
    ]  # fmt: skip
    for architecture, options, words in cases:
        with pytest.raises(InputError, match=words):
            architecture.check_measurable(**options)
        with pytest.raises(InputError, match=words):
            architecture.graph(random_network(architecture), **options)


WIDE = CNN((2, 8, 8), ((60, 60), (50,)), (40,))


def scaled_by(first_layer=False, seed=0, damping=0.8):
    """What clusterable starts multiply weights by."""
    plain, scaled = (
        WIDE.untrained(generator(seed), groups=groups, damping=damping, first_layer=first_layer) for groups in (0, 10)
    )
    return [(after / before).round(4) for before, after in zip(plain.weights, scaled.weights, strict=True)]


def test_clusterable_kernels_are_scaled_whole_and_keep_their_mean():
    first, second, third, *dense = scaled_by()
    assert all((factors == 1).all() for factors in (first, *dense))
    for factors in (second, third):
        assert_allclose(np.unique(factors), [0.8, 2.8])
        assert (factors == factors[:, :, :1, :1]).all()
    means = [np.mean([float(weight.mean()) for weight in scaled_by(seed=seed)[1:3]]) for seed in range(20)]
    assert abs(np.mean(means) - 1) < 3 * np.std(means) / np.sqrt(20) + 1e-3


def test_a_channel_has_one_group_for_what_it_reads_and_for_who_reads_it():
    _, second, third, *_ = scaled_by()
    reads, read = second[:, :, 0, 0] > 1, third[:, :, 0, 0] > 1
    for a, b in combinations(range(60), 2):
        if reads[a].any() and reads[b].any() and read[:, a].any() and read[:, b].any():
            assert np.array_equal(reads[a], reads[b]) == np.array_equal(read[:, a], read[:, b])


def test_the_first_convolution_can_be_scaled_too():
    assert len(np.unique(scaled_by(first_layer=True)[0])) == 2


def test_impossible_architectures_are_refused():
    cases = [
        ({"image": (28, 28)}, "channels, height and width"), ({"image": (1, 0, 28)}, "at least 1"),
        ({"blocks": ()}, "at least one block"), ({"blocks": ((4,), ())}, "at least one convolution"),
        ({"blocks": ((4, 0),)}, "one channel"), ({"dense": (0,)}, "dense"), ({"n_outputs": 0}, "dense"),
        ({"blocks": ((4,),) * 4}, "too small for 4 max-pools"),
    ]  # fmt: skip
    for fields, words in cases:
        with pytest.raises(InputError, match=words):
            CNN(**{"image": (1, 8, 8), "blocks": ((4,),), **fields})


def test_settings_of_other_architectures_are_refused():
    of_mlps = {"cluster_gradient": 0.1, "cut_gradient": 0.1, "rescaling": True, "first_layer_l1": 1e-5}
    of_cnns = {"convolution_dropout": (0.25,), "augmentation": True, "bfloat16": True}
    for other, settings in ((SMALL, of_mlps), (MLP((64, 10)), of_cnns)):
        for name, value in settings.items():
            with pytest.raises(InputError, match=f"{name}.*{other.name}"):
                NetworkSpec("digits", other, Training(**{name: value}), 0)


def test_every_convolution_needs_a_rate_of_its_own():
    for rates in [(0.25,), (0.25,) * 4]:
        with pytest.raises(InputError, match="3 convolutions"):
            NetworkSpec("digits", SMALL, Training(convolution_dropout=rates), 0)


def test_options_of_convolutional_networks_leave_the_names_of_others_alone():
    plain = Run("Control", NetworkSpec("mnist", MLP((784, 10)), Training(), 0), True, Measurement())
    named = {
        "condition": "Control", "pruned": True, "measurement": plain.measurement.as_dict(), "version": KEY_VERSION,
        "network": {"dataset": "mnist", "architecture": {"sizes": (784, 10)}, "training": {}, "seed": 0},
    }  # fmt: skip
    assert plain.key == results.key_of(named)
    dropped = NetworkSpec("mnist", SMALL, Training(convolution_dropout=[0.25] * 3), 0)
    assert dropped.as_dict()["training"] == {"convolution_dropout": (0.25,) * 3}
    assert hash(dropped)


def test_every_way_to_measure_has_a_key_of_its_own():
    spec = NetworkSpec("digits", NORMALIZED, Training(), 0)
    options = [{}, {"kernel_norm": "entrywise"}, {"kernel_norm": "frobenius"}, {"fold_normalization": True}]
    assert len({Run("Control", spec, True, Measurement(), **option).key for option in options}) == 4


def test_what_an_architecture_cannot_be_measured_by_is_refused():
    cases = [
        (SMALL, {"kernel_norm": "nuclear"}, "nuclear"), (SMALL, {"fold_normalization": True}, "no batch norm"),
        (MLP((4, 2)), {"fold_normalization": True}, "no batch normalization"),
        (MLP((4, 2)), {"kernel_norm": "frobenius"}, "no kernels"), (SMALL, {"trimmed": 0.5}, "trimmed"),
    ]  # fmt: skip
    for architecture, option, words in cases:
        with pytest.raises(InputError, match=words):
            Run("Control", NetworkSpec("digits", architecture, Training(), 0), True, Measurement(), **option)
