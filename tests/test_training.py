"""Training: perceptrons and convolutional networks learn, are pruned and are kept alike."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from clusterability.base.errors import InputError
from clusterability.base.threads import one_thread
from clusterability.data import load as datasets
from clusterability.networks.classifier import Classifier
from clusterability.networks.cnn import CNN
from clusterability.networks.mlp import MLP
from clusterability.training.loop import dropout_thresholds, random_bits
from clusterability.training.spec import NetworkSpec, Training
from clusterability.training.train import train, untrained
from helpers import assert_sequential_state, penalty, plain_training, sequential

SMALL = MLP((64, 16, 12, 10))
TINY = CNN((1, 8, 8), ((4, 5), (3,)), (8,))
NORMALIZED = replace(TINY, batch_norm=True)
SHORT = Training(epochs=2, pruning_epochs=2, batch_size=64)
EACH = pytest.mark.parametrize("architecture", [SMALL, TINY, NORMALIZED], ids=lambda own: own.name)


@pytest.fixture(scope="module")
def few(digits):
    """The first 250 digits: three batches and a shorter one."""
    parts = {key: getattr(digits, key)[:250] for key in datasets.KEYS}
    return datasets.Dataset("digits", **parts, maximum=digits.maximum)


def spec(seed=0, architecture=SMALL, base=SHORT, **changes):
    return NetworkSpec("digits", architecture, replace(base, **changes), seed)


def trained(specs, dataset, **options):
    """Networks by the epochs passed, in the order of the specifications."""
    return [states for _, states in sorted(train(specs, dataset, **options), key=lambda pair: pair[0])]


def arrays(network):
    return [*network.weights, *network.biases, *network.normalizations]


def assert_same(first, second, **tolerance):
    """Bitwise, or within a tolerance."""
    compare = assert_allclose if tolerance else assert_array_equal
    assert first.keys() == second.keys()
    for epoch in first:
        for x, y in zip(arrays(first[epoch]), arrays(second[epoch]), strict=True):
            compare(x, y, **tolerance)
        scores = first[epoch].scores, second[epoch].scores
        assert scores[0].keys() == scores[1].keys()
        compare(*(list(own.values()) for own in scores), **tolerance)


PERCEPTRONS = [
    spec(0), spec(1, dropout=0.5), spec(2, l1=5e-5), spec(3, l2=5e-5), spec(4, l2=5e-5, first_layer_l1=5e-5),
    spec(5, dropout=0.2, l1=1e-4, l2=1e-4), spec(6, MLP((64, 8, 10)), learning_rate=1e-2, epochs=1),
]  # fmt: skip
CONVOLUTIONAL = [
    spec(0, TINY), spec(1, TINY, dropout=0.5, convolution_dropout=(0.25,) * 3), spec(2, NORMALIZED, l2=1e-4),
    spec(3, TINY, augmentation=True), spec(4, CNN((1, 8, 8), ((4,),)), batch_size=32, epochs=1),
]  # fmt: skip


@pytest.mark.parametrize("workers", [1, 2])
def test_networks_trained_beside_others_equal_those_trained_alone(few, workers):
    members = [*PERCEPTRONS, *CONVOLUTIONAL]
    for states, member in zip(trained(members, few, workers=workers), members, strict=True):
        assert_same(states, trained([member], few)[0])


def test_a_stack_equals_its_members_trained_alone_to_rounding(few):
    members = [*PERCEPTRONS, CONVOLUTIONAL[0]]
    for states, member in zip(trained(members, few, stack_size=3), members, strict=True):
        assert_same(states, trained([member], few)[0], rtol=1e-3, atol=1e-4)


@EACH
def test_seeds_make_networks_and_torch_s_global_seed_does_not(few, architecture):
    chosen = spec(1, architecture, dropout=0.5)
    torch.manual_seed(1)
    first = trained([chosen], few)[0]
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert_same(first, trained([chosen], few)[0])
    assert torch.equal(torch.get_rng_state(), before)
    other = trained([replace(chosen, seed=9)], few)[0]
    assert not np.array_equal(first[2].weights[0], other[2].weights[0])


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        (SMALL, {"mask_interval": 3}), (SMALL, {"dropout": 0.3, "mask_interval": 4, "initial_sparsity": 0.3}),
        (SMALL, {"l1": 1e-3, "final_sparsity": 0.7, "pruning_epochs": 3}), (SMALL, {"l2": 1e-3, "regrowth": True}),
        (SMALL, {"l2": 1e-3, "first_layer_l1": 2e-3, "dropout": 0.5, "batch_size": 100}),
        (TINY, {"l1": 1e-3, "dropout": 0.75, "convolution_dropout": (0.5, 0.0, 0.25)}), (TINY, {"mask_interval": 3}),
        (NORMALIZED, {"l1": 1e-3, "pruning_epochs": 0}),
        (replace(NORMALIZED, dense=(8, 6)), {"l2": 1e-3, "dropout": 0.5}),
        (replace(TINY, dense=(8, 6)), {"dropout": 0.5, "pruning_epochs": 0}),
    ],
)  # fmt: skip
def test_training_and_pruning_equal_plain_pytorch_after_every_epoch(few, architecture, changes):
    chosen = spec(3, architecture, **changes)
    [states] = trained([chosen], few, keep_epochs=range(6))
    model = sequential(architecture, untrained(chosen))
    with one_thread():
        x, y = few.flat("train") if architecture is SMALL else few.images("train")
        expected = plain_training(chosen, model, torch.from_numpy(x), torch.from_numpy(y))
    assert sorted(expected) == sorted(states)[1:]
    for epoch, weights in expected.items():
        for ours, theirs in zip(states[epoch].weights, weights, strict=True):
            assert_allclose(ours, theirs, rtol=1e-3, atol=2e-4)
            assert_array_equal(ours == 0, theirs == 0)
    assert_sequential_state(states[max(states)], model, rtol=1e-3, atol=2e-4)


def test_dropout_bits_have_the_right_share_and_favour_no_unit():
    for rate in (0.1, 0.5, 0.8, 0.99):
        bits = random_bits(1000 * 50, torch.Generator().manual_seed(0))
        kept = (bits >= dropout_thresholds(torch.tensor(rate))).double().view(1000, 50)
        deviation = np.sqrt(rate * (1 - rate))
        assert abs(kept.mean() - (1 - rate)) < 5 * deviation / np.sqrt(kept.numel())
        for axis in (0, 1):
            assert (kept.mean(axis) - (1 - rate)).abs().max() < 5 * deviation / np.sqrt(kept.shape[axis])
    assert (bits >= dropout_thresholds(torch.tensor(0.0))).all()
    assert (bits >= dropout_thresholds(torch.tensor(0.999999))).double().mean() < 1e-3


@EACH
def test_scores_are_those_of_what_is_kept(few, architecture):
    on_convolutions = {} if architecture is SMALL else {"convolution_dropout": (0.2,) * 3}
    changes = {"l1": 2e-4, "l2": 3e-4, "dropout": 0.5, **on_convolutions}
    chosen = spec(0, architecture, **changes)
    [states] = trained([chosen], few, keep_epochs=[1, 3])
    for network in states.values():
        model = sequential(architecture, network).eval()
        for split in ("train", "test"):
            x, y = few.flat(split) if architecture is SMALL else few.images(split)
            log_p = model(torch.from_numpy(x)).log_softmax(1).detach().numpy()
            assert_allclose(network.scores[f"{split}_accuracy"], (log_p.argmax(1) == y).mean(), atol=5e-3)
            assert_allclose(network.scores[f"{split}_loss"], -log_p[np.arange(len(y)), y].mean(), rtol=1e-4)
        expected = penalty([weight.astype(float) for weight in network.weights], chosen.training)
        assert_allclose(network.scores["penalty"], expected, rtol=1e-5)


def test_the_penalty_is_that_of_the_weights(few):
    coefficients = [(0, 0, 0), (5e-5, 0, 0), (0, 5e-5, 2e-4), (1e-4, 2e-4, 3e-4), (0, 0, 1e-3)]
    penalized = [spec(l1=l1, l2=l2, first_layer_l1=first_layer_l1) for l1, l2, first_layer_l1 in coefficients]
    for chosen, states in zip(penalized, trained(penalized, few), strict=True):
        for network in states.values():
            assert_allclose(network.scores["penalty"], penalty(network.weights, chosen.training), rtol=1e-5)


@pytest.mark.parametrize(("norm", "changes"), [(1, {"l1": 1e-3}), (2, {"l2": 1e-3})])
def test_penalties_shrink_what_they_penalize(digits, norm, changes):
    control, penalized = trained([spec(epochs=8), spec(epochs=8, **changes)], digits)
    sizes = [sum((np.abs(weight) ** norm).sum() for weight in states[8].weights) for states in (control, penalized)]
    assert sizes[1] < 0.95 * sizes[0]


@EACH
@pytest.mark.parametrize("sparsity", [0.9, 0.37])
def test_weights_are_pruned_to_exactly_the_final_sparsity(few, architecture, sparsity):
    chosen = spec(0, architecture, initial_sparsity=0.3, final_sparsity=sparsity, mask_interval=3, l1=1e-4)
    [states] = trained([chosen], few)
    for weight, bias in zip(states[4].weights, states[4].biases, strict=True):
        assert (weight == 0).sum() == round(sparsity * weight.size)
        assert bias.all()
    assert all(array.all() for array in (*states[2].weights, *states[4].normalizations))


@EACH
def test_training_does_not_depend_on_the_pruning_to_come(few, architecture):
    with_pruning, without = (trained([spec(0, architecture, pruning_epochs=n)], few)[0] for n in (2, 0))
    assert list(without) == [2]
    assert_same({2: with_pruning[2]}, without)


@EACH
@pytest.mark.parametrize("regrowth", [False, True])
def test_networks_are_kept_after_the_epochs_asked_for_without_changing_the_others(few, architecture, regrowth):
    chosen = spec(0, architecture, regrowth=regrowth)
    [states] = trained([chosen], few, keep_epochs=[3, 0, 1])
    assert sorted(states) == [0, 1, 2, 3, 4]
    [plain] = trained([chosen], few)
    assert_same({epoch: states[epoch] for epoch in plain}, plain)
    [short] = trained([replace(chosen, training=replace(chosen.training, epochs=1, pruning_epochs=0))], few)
    assert_same({1: states[1]}, short)
    start = untrained(chosen)
    for kept, first in zip(arrays(states[0]), arrays(start), strict=True):
        assert_array_equal(kept, first)
    assert all(np.isnan(score) for score in start.scores.values())
    assert np.isnan(states[0].scores["running_train_accuracy"])
    for before, pruned in zip(states[1].weights, states[3].weights, strict=True):
        assert before.all()
        assert (pruned == 0).sum() == round(0.5 * pruned.size)  # while pruning, what is pruned is zero


@pytest.mark.parametrize(
    ("architecture", "base"),
    [
        (MLP((64, 64, 64, 10)), Training(epochs=25, pruning_epochs=15, batch_size=32)),
        # Long enough for the running statistics, which average over some hundred steps.
        *((CNN((1, 8, 8), ((8, 8), (8,)), (16,), batch_norm=norm),
           Training(epochs=12, pruning_epochs=3, batch_size=32, learning_rate=3e-3, final_sparsity=0.7))
          for norm in (False, True)),
    ],
)  # fmt: skip
def test_digits_are_learnt_and_stay_learnt_while_pruning(digits, architecture, base):
    [states] = trained([spec(0, architecture, base)], digits)
    learnt, pruned = states[base.epochs].scores, states[base.last_epoch(True)].scores
    bounds = (0.93, 0.9, 0.8) if base.epochs == 25 else (0.8, 0.7, 0.7)
    assert learnt["test_accuracy"] > bounds[0]
    assert learnt["running_train_accuracy"] > bounds[1]
    assert pruned["test_accuracy"] > bounds[2]
    assert learnt["train_loss"] < 0.6


def test_dropout_lowers_the_accuracy_only_while_it_acts(digits):
    base = Training(epochs=15, pruning_epochs=0)
    control, dropped = trained([spec(base=base), spec(base=base, dropout=0.5)], digits)
    scores = dropped[15].scores
    assert scores["running_train_accuracy"] < scores["train_accuracy"] - 0.05
    assert abs(control[15].scores["running_train_accuracy"] - control[15].scores["train_accuracy"]) < 0.05


@EACH
@pytest.mark.parametrize("workers", [1, 2])
def test_progress_adds_up_to_the_number_of_networks(few, architecture, workers):
    shares = []
    trained([spec(seed, architecture) for seed in range(3)], few, progress=shares.append, workers=workers)
    assert_allclose(sum(shares), 3)
    assert len(shares) == 3 * 4


@EACH
def test_training_stops_soon_after_its_results_are_no_longer_wanted(few, architecture):
    shares = []
    results = train([spec(n, architecture) for n in range(6)], few, workers=1, progress=shares.append)
    next(results)
    results.close()
    told = len(shares)
    assert told < 4 * 4
    assert len(shares) == told


def test_every_network_comes_once_with_its_position_and_its_seconds(few):
    members, took = [*PERCEPTRONS, *CONVOLUTIONAL], {}
    found = dict(train(members, few, workers=2, stack_size=2, timed=took.__setitem__))
    assert sorted(found) == sorted(took) == list(range(len(members)))
    assert min(took.values()) > 0
    assert took[0] == took[1]  # they train as one


def test_no_specifications_give_no_networks(few):
    assert list(train([], few)) == []


def test_training_leaves_torch_s_threads_as_they_were(few):
    before = torch.get_num_threads()
    trained([spec(0, pruning_epochs=0), spec(1, TINY, pruning_epochs=0)], few)
    assert torch.get_num_threads() == before


NOT_NEGATIVE = ("epochs", "pruning_epochs", "initial_groups", "l1", "l2", "first_layer_l1", "cluster_gradient",
                "cluster_offset", "cut_gradient")  # fmt: skip
AT_LEAST_1 = ("batch_size", "mask_interval", "cluster_eigenvalues", "cluster_interval", "cut_groups")


@pytest.mark.parametrize(
    ("message", "fields", "values"),
    [
        ("at least 1 is needed", AT_LEAST_1, [0, -1]),
        ("must be finite and not negative", NOT_NEGATIVE, [-1, float("nan"), float("inf")]),
        ("at least 0 and below 1", ("dropout",), [1.0, -0.1, float("nan")]),
        ("at least 0 and below 1", ("convolution_dropout",), [(0.25, 1.0), (-0.1,), (float("nan"),)]),
        ("must be finite and positive", ("learning_rate",), [0.0, -1e-3, float("nan")]),
        ("must lie between 0 and 1", ("initial_damping",), [-0.1, 1.1, float("nan")]),
        ("at least 0 and below 1", ("initial_sparsity", "final_sparsity"), [1.0, -0.5, 1.5]),
    ],
)
def test_values_out_of_range_are_refused_by_name(message, fields, values):
    for field, value in product(fields, values):
        with pytest.raises(InputError, match=f"{field.split('_')[-1]}.*{message}"):
            Training(**{field: value})


def test_networks_that_do_not_fit_the_data_are_refused_before_any_is_trained(few):
    cases = [
        *((spec(0, MLP(sizes)), "does not fit digits: 64 inputs and 10 outputs")
          for sizes in ((63, 8, 10), (64, 8, 9), (784, 8, 10))),
        (spec(0, CNN((1, 28, 28), ((4,),))), "cnn 1x28x28.* does not fit digits: images of 1×8×8"),
        (spec(0, CNN((1, 8, 8), ((4,),), (), 9)), "10 outputs"),
        (spec(0, NORMALIZED, batch_size=83), "batch_size 83: .* batch of one"),
        (spec(0, NORMALIZED, batch_size=1), "batch_size 1: .* batch of one"),
        (spec(0, Classifier("squeezenet1_1")), "squeezenet1_1 cannot be trained"),
    ]  # fmt: skip
    for chosen, words in cases:
        with pytest.raises(InputError, match=words):
            list(train([spec(1), chosen], few, progress=lambda _: pytest.fail("trained")))


def test_convolutions_need_images():
    with pytest.raises(InputError, match="no images"):
        list(train([spec(0, TINY)], datasets.load("polynomials_2000")))


def test_more_outputs_than_classes_are_allowed(few):
    [states] = trained([spec(0, MLP((64, 8, 12)), pruning_epochs=0)], few)
    assert states[2].weights[-1].shape == (12, 8)


def test_only_with_regrowth_do_pruned_weights_come_back(few):
    for regrowth in (False, True):
        # An L1 penalty makes most weights smaller than one step of Adam.
        hovering = {"l1": 1e-2, "learning_rate": 1e-2, "epochs": 8, "pruning_epochs": 8, "mask_interval": 2}
        [states] = trained([spec(regrowth=regrowth, **hovering)], few, keep_epochs=range(17))
        stays = [states[epoch].weights[0] != 0 for epoch in range(9, 17)]
        assert any((later & ~earlier).any() for earlier, later in pairwise(stays)) == regrowth


def test_denormal_numbers_are_zero_while_training_and_only_then():
    tiny = torch.tensor([1e-30])
    with one_thread():
        assert (tiny * 1e-10).item() == 0
    assert (tiny * 1e-10).item() > 0


def test_clusterable_initialization_keeps_the_first_layer_and_the_mean_weight():
    plain, grouped = (untrained(spec(0, MLP((64, 400, 400, 10)), initial_groups=n)) for n in (0, 10))
    assert_array_equal(plain.weights[0], grouped.weights[0])
    ratio = grouped.weights[1] / plain.weights[1]
    assert_allclose(np.unique(ratio.round(4)), [0.6, 4.6], rtol=1e-3)
    assert_allclose((ratio > 1).mean(), 0.1, atol=0.02)
    within = ratio > 1
    rows = {row.tobytes() for row in within}  # neurons of a group see the same groups
    assert len(rows) <= 10
    everywhere = untrained(spec(0, MLP((64, 400, 400, 10)), initial_groups=10, initial_first_layer=True))
    assert not np.array_equal(plain.weights[0], everywhere.weights[0])


def test_clusterable_starts_leave_the_first_convolution_alone():
    plain, grouped, everywhere = (
        untrained(spec(0, TINY, initial_damping=0.8, **changes))
        for changes in ({}, {"initial_groups": 2}, {"initial_groups": 2, "initial_first_layer": True})
    )
    assert_array_equal(plain.weights[0], grouped.weights[0])
    assert not np.array_equal(plain.weights[0], everywhere.weights[0])
    for layer, (before, after) in enumerate(zip(plain.weights[1:], grouped.weights[1:], strict=True), 1):
        factors = {0.8, 1.2} if layer < len(TINY.channels) else {1}  # kernels only
        assert set(np.unique((after / before).round(3))) == {np.float32(factor) for factor in factors}


def test_every_output_has_a_group_of_its_own():
    weights = untrained(spec(0, MLP((64, 300, 10)), initial_groups=10)).weights[1]
    plain = untrained(spec(0, MLP((64, 300, 10)))).weights[1]
    assert ((weights / plain > 1).sum(axis=0) == 1).all()


def test_regression_lowers_the_squared_error():
    data = datasets.load("polynomials_2000")
    base = NetworkSpec("polynomials_2000", MLP((2, 32, 32, 512)), Training(epochs=10, pruning_epochs=0), 0)
    [(_, states)] = train([base], data, keep_epochs=[0])
    x, y = data.flat("test")
    for network in states.values():
        activation = x.astype(float)
        for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
            activation = (np.maximum(activation, 0) if layer else activation) @ weight.T + bias
        assert_allclose(network.scores["test_loss"], np.square(activation - y).mean(), rtol=1e-4)
        assert np.isnan(network.scores["test_accuracy"])
    assert states[10].scores["train_loss"] < 0.5 * states[0].scores["train_loss"]


def test_regressions_need_as_many_outputs_as_numbers():
    data = datasets.load("polynomials_2000")
    wrong = NetworkSpec("polynomials_2000", MLP((2, 8, 513)), SHORT, 0)
    with pytest.raises(InputError, match="512 outputs"):
        list(train([wrong], data))
