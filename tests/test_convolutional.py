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
from clusterability.networks.cnn import CNN, Parameters, channel_matrices, clusterable_weights, initialize, logits
from clusterability.networks.mlp import MLP
from clusterability.networks.network import TrainedNetwork
from clusterability.training.spec import NetworkSpec, Training
from helpers import assert_sequential_state, sequential

SMALL = CNN((2, 9, 8), ((4, 6), (5,)), (7, 6), 3)
NORMALIZED = CNN((2, 9, 8), ((4, 6), (5,)), (7, 6), 3, batch_norm=True)
VGG = CNN((3, 32, 32), ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3), (512, 512), batch_norm=True)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_parameters(architecture, seed=0):
    """Parameters of which none has a special value."""
    parameters = initialize(architecture, generator(seed))
    for part in (parameters.biases, parameters.scales, parameters.statistics):
        for tensor in part:
            tensor.uniform_(0.5, 1.5, generator=generator(tensor.numel()))
    return parameters


def as_network(parameters):
    weights, biases, normalizations = parameters.arrays()
    return TrainedNetwork(weights, biases, {}, normalizations)


@pytest.mark.parametrize("architecture", [SMALL, NORMALIZED, CNN((1, 4, 4), ((3,),), (), 2, batch_norm=True)])
@pytest.mark.parametrize("training", [False, True])
def test_the_forward_pass_is_that_of_pytorch_s_layers(architecture, training):
    parameters = random_parameters(architecture)
    model = sequential(architecture, parameters).train(training)
    x = torch.rand(6, *architecture.image, generator=generator(1))
    for _ in range(2):  # running statistics move along
        outputs = logits(architecture, parameters, x, training=training)
        assert_allclose(outputs.detach(), model(x).detach(), rtol=1e-4, atol=1e-5)
    assert_sequential_state(as_network(parameters), model, rtol=1e-5)


@pytest.mark.parametrize("architecture", [SMALL, NORMALIZED])
def test_gradients_are_those_of_pytorch_s_layers_whatever_the_layout_in_memory(architecture):
    parameters = random_parameters(architecture)
    model = sequential(architecture, parameters).double()
    x = torch.rand(6, *architecture.image, generator=generator(1), dtype=torch.float64)
    model(x).square().sum().backward()
    parameters = Parameters(*([tensor.double() for tensor in part] for part in vars(parameters).values())).to("cpu")
    for parameter in parameters.trained:
        parameter.requires_grad_()
    logits(architecture, parameters, x, training=True).square().sum().backward()
    theirs = [layer for layer in model if hasattr(layer, "weight") and layer.weight.ndim > 1]
    for weight, bias, layer in zip(parameters.weights, parameters.biases, theirs, strict=True):
        assert_allclose(weight.grad, layer.weight.grad, atol=1e-8)
        assert_allclose(bias.grad, layer.bias.grad, atol=1e-8)


def test_what_hidden_layers_pass_on_can_be_changed():
    parameters, shapes = random_parameters(SMALL), []

    def drop(x, layer):
        shapes.append((layer, tuple(x.shape[1:])))
        return torch.zeros_like(x)

    outputs = logits(SMALL, parameters, torch.rand(2, 2, 9, 8), drop=drop)
    assert shapes == [(0, (4, 9, 8)), (1, (6, 4, 4)), (2, (5, 2, 2)), (3, (7,)), (4, (6,))]
    assert_array_equal(outputs, parameters.biases[-1].expand(2, -1))


def test_the_papers_networks_have_the_papers_sizes():
    small = CNN((1, 28, 28), ((64, 64), (64,)), (128,))
    assert (small.n_vertices, VGG.n_vertices) == (192, 4224)
    assert small.n_flat == 7 * 7 * 64
    assert VGG.n_flat == 512
    assert VGG.n_normalized == 13 + 1
    n_parameters = sum(weight.numel() for weight in initialize(small, generator()).weights)
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
    parameters = initialize(CNN((3, 8, 8), ((64, 64),), (50,), batch_norm=True), generator())
    for weight, fans in zip(parameters.weights, [9 * 67, 9 * 128, 1024 + 50, 60], strict=True):
        limit = np.sqrt(6 / fans)
        assert_allclose([weight.min(), weight.max()], [-limit, limit], rtol=0.05)
        assert abs(weight.mean()) < 5 * limit / np.sqrt(3 * weight.numel())
        assert_allclose(weight.std(), limit / np.sqrt(3), rtol=0.05)
    assert not any(bias.any() for bias in parameters.biases)
    assert [len(scale[0]) for scale in parameters.scales] == [64, 64, 50]
    for scale, statistics in zip(parameters.scales, parameters.statistics, strict=True):
        assert_array_equal(scale, [[1] * len(scale[0]), [0] * len(scale[0])])
        assert_array_equal(statistics, scale.flip(0))


@pytest.mark.parametrize("norm", NORMS)
def test_matrices_hold_the_norms_of_all_kernels_but_the_first_convolution_s(norm):
    network = as_network(random_parameters(SMALL))
    matrices = channel_matrices(SMALL, network, norm)
    assert [matrix.shape for matrix in matrices] == [(6, 4), (5, 6)]
    for matrix, kernels in zip(matrices, network.weights[1:3], strict=True):
        for (o, i), value in np.ndenumerate(matrix):
            kernel = kernels[o, i].astype(float)
            expected = {"induced": np.linalg.norm(kernel, 1), "entrywise": np.abs(kernel).sum(),
                        "frobenius": np.linalg.norm(kernel)}  # fmt: skip
            assert_allclose(value, expected[norm], rtol=1e-6)


def test_folding_scales_what_enters_a_channel_as_its_normalization_does():
    network = as_network(random_parameters(NORMALIZED))
    plain, folded = (channel_matrices(NORMALIZED, network, fold=fold) for fold in (False, True))
    for layer in (1, 2):
        gamma, _, _, variance = network.normalizations[layer].astype(float)
        factors = np.abs(gamma) / np.sqrt(variance + 1e-3)
        assert_allclose(folded[layer - 1], plain[layer - 1] * factors[:, None])
        assert not np.allclose(folded[layer - 1], plain[layer - 1])


def test_networks_without_normalization_fold_nothing():
    network = as_network(random_parameters(SMALL))
    for plain, folded in zip(
        channel_matrices(SMALL, network), channel_matrices(SMALL, network, fold=True), strict=True
    ):
        assert_array_equal(plain, folded)


def test_a_single_convolution_joins_no_channels():
    one = CNN((1, 8, 8), ((4,),))
    with pytest.raises(InputError, match="one convolution"):
        channel_matrices(one, as_network(random_parameters(one)))


WIDE = CNN((2, 8, 8), ((60, 60), (50,)), (40,))


def scaled_by(first_layer=False, seed=0, damping=0.8):
    weights = [torch.ones_like(weight) for weight in initialize(WIDE, generator()).weights]
    return clusterable_weights(WIDE, weights, 10, damping, generator(seed), first_layer=first_layer)


def test_clusterable_kernels_are_scaled_whole_and_keep_their_mean():
    first, second, third, *dense = scaled_by()
    assert all((factors == 1).all() for factors in (first, *dense))
    for factors in (second, third):
        assert_allclose(np.unique(factors.numpy().round(4)), [0.8, 2.8])
        assert (factors == factors[:, :, :1, :1]).all()
    means = [np.mean([float(weight.mean()) for weight in scaled_by(seed=seed)[1:3]]) for seed in range(20)]
    assert abs(np.mean(means) - 1) < 3 * np.std(means) / np.sqrt(20) + 1e-3


def test_a_channel_has_one_group_for_what_it_reads_and_for_who_reads_it():
    _, second, third, *_ = scaled_by()
    reads, read = second[:, :, 0, 0] > 1, third[:, :, 0, 0] > 1
    for a, b in combinations(range(60), 2):
        if reads[a].any() and reads[b].any() and read[:, a].any() and read[:, b].any():
            assert torch.equal(reads[a], reads[b]) == torch.equal(read[:, a], read[:, b])


def test_the_first_convolution_can_be_scaled_too():
    assert len(scaled_by(first_layer=True)[0].unique()) == 2


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"image": (28, 28)}, "channels, height and width"), ({"image": (1, 0, 28)}, "at least 1"),
        ({"blocks": ()}, "at least one block"), ({"blocks": ((4,), ())}, "at least one convolution"),
        ({"blocks": ((4, 0),)}, "one channel"), ({"dense": (0,)}, "dense"), ({"n_outputs": 0}, "dense"),
        ({"blocks": ((4,),) * 4}, "too small for 4 max-pools"),
    ],
)  # fmt: skip
def test_impossible_architectures_are_refused(fields, words):
    with pytest.raises(InputError, match=words):
        CNN(**{"image": (1, 8, 8), "blocks": ((4,),), **fields})


@pytest.mark.parametrize(
    "changes", [{"cluster_gradient": 0.1}, {"cut_gradient": 0.1}, {"rescaling": True}, {"first_layer_l1": 1e-5}]
)
def test_settings_of_perceptrons_are_refused(changes):
    with pytest.raises(InputError, match=f"{next(iter(changes))}.*cnn 2x9x8"):
        NetworkSpec("digits", SMALL, Training(**changes), 0)


@pytest.mark.parametrize("changes", [{"convolution_dropout": (0.25,)}, {"augmentation": True}])
def test_settings_of_convolutional_networks_are_refused(changes):
    with pytest.raises(InputError, match=f"{next(iter(changes))}.*mlp 64-10"):
        NetworkSpec("digits", MLP((64, 10)), Training(**changes), 0)


@pytest.mark.parametrize("rates", [(0.25,), (0.25,) * 4])
def test_every_convolution_needs_a_rate_of_its_own(rates):
    with pytest.raises(InputError, match="3 convolutions"):
        NetworkSpec("digits", SMALL, Training(convolution_dropout=rates), 0)


@pytest.mark.parametrize("rate", [1.0, -0.1, float("nan")])
def test_rates_out_of_range_are_refused(rate):
    with pytest.raises(InputError, match="convolution_dropout"):
        Training(convolution_dropout=(0.25, rate))


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


@pytest.mark.parametrize(
    ("architecture", "option", "words"),
    [
        (SMALL, {"kernel_norm": "nuclear"}, "nuclear"), (SMALL, {"fold_normalization": True}, "no batch norm"),
        (MLP((4, 2)), {"fold_normalization": True}, "no batch normalization"),
        (MLP((4, 2)), {"kernel_norm": "frobenius"}, "no kernels"), (SMALL, {"trimmed": 0.5}, "trimmed"),
    ],
)  # fmt: skip
def test_what_an_architecture_cannot_be_measured_by_is_refused(architecture, option, words):
    with pytest.raises(InputError, match=words):
        Run("Control", NetworkSpec("digits", architecture, Training(), 0), True, Measurement(), **option)
