from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from clusterability.base.errors import InputError
from clusterability.data import load as datasets
from clusterability.networks.mlp import MLP, initialize
from clusterability.training import pruning
from clusterability.training import train as training
from clusterability.training.pruning import magnitude_mask
from clusterability.training.train import NetworkSpec, Training, train

SHORT = Training(epochs=2, pruning_epochs=2)
SMALL = MLP((64, 16, 12, 10))


def spec(seed=0, architecture=SMALL, base=SHORT, **changes):
    return NetworkSpec("digits", architecture, replace(base, **changes), seed)


def trained(specs, dataset, **options):
    """Networks by whether they are pruned, in the order of the specifications."""
    finished = sorted(train(specs, dataset, **options), key=lambda pair: pair[0])
    return [by_state(specs[position].training, states) for position, states in finished]


def by_state(training, states):
    ends = {
        pruned: training.last_epoch(pruned) for pruned in ((False, True) if training.pruning_epochs else (False,))
    }
    assert set(states) == set(ends.values())
    return {pruned: states[epoch] for pruned, epoch in ends.items()}


def assert_same(first, second, **tolerance):
    """Bitwise, or within a tolerance."""
    assert first.keys() == second.keys()
    for moment in first:
        a, b = first[moment], second[moment]
        for x, y in zip([*a.weights, *a.biases], [*b.weights, *b.biases], strict=True):
            assert_allclose(x, y, **tolerance) if tolerance else assert_array_equal(x, y)
        assert a.scores.keys() == b.scores.keys()
        for name in a.scores:
            assert_allclose(a.scores[name], b.scores[name], **(tolerance or {"rtol": 0}))


MIXED = [
    spec(0), spec(1, dropout=0.5), spec(2, l1=5e-5), spec(3, l2=5e-5), spec(4, l2=5e-5, first_layer_l1=5e-5),
    spec(5, dropout=0.2, l1=1e-4, l2=1e-4),
]  # fmt: skip


def test_an_ensemble_equals_its_members_trained_alone(digits):
    together = trained(MIXED, digits)
    for states, member in zip(together, MIXED, strict=True):
        assert_same(states, trained([member], digits)[0])


def test_the_number_of_workers_changes_nothing(digits):
    for one, two in zip(trained(MIXED, digits, workers=1), trained(MIXED, digits, workers=2), strict=True):
        assert_same(one, two)


def test_a_stack_equals_its_members_trained_alone_to_rounding(digits):
    members = MIXED[1:4]
    data = {split: tuple(map(torch.from_numpy, digits.flat(split))) for split in ("train", "test")}
    stacked = training._train_stack(members, data, "cpu", (), lambda share: None)
    for states, member in zip(stacked, members, strict=True):
        assert_same(by_state(member.training, states), trained([member], digits)[0], rtol=1e-3, atol=1e-4)


def test_the_same_seed_repeats_and_another_does_not(digits):
    first, again, other = (trained([spec(seed, dropout=0.5)], digits)[0] for seed in (7, 7, 8))
    assert_same(first, again)
    assert not np.array_equal(first[False].weights[0], other[False].weights[0])


def test_torch_s_global_seed_does_not_matter(digits):
    torch.manual_seed(1)
    first = trained([spec(dropout=0.5)], digits)[0]
    torch.manual_seed(2)
    assert_same(first, trained([spec(dropout=0.5)], digits)[0])


@pytest.mark.parametrize("final_sparsity", [0.9, 0.37])
def test_pruned_networks_have_exactly_the_final_sparsity(digits, final_sparsity):
    states = trained([spec(initial_sparsity=0.3, final_sparsity=final_sparsity, l1=1e-4)], digits)[0]
    for weight in states[True].weights:
        assert (weight == 0).sum() == round(final_sparsity * weight.size)
    for weight in states[False].weights:
        assert (weight != 0).all()


def test_networks_without_pruning_epochs_have_one_state(digits):
    states = trained([spec(pruning_epochs=0)], digits)[0]
    assert list(states) == [False]


def test_training_before_pruning_does_not_depend_on_the_pruning_to_come(digits):
    with_pruning, without = (trained([spec(pruning_epochs=n)], digits)[0] for n in (2, 0))
    assert_same({False: with_pruning[False]}, without)


def test_pruning_follows_the_schedule(digits, monkeypatch):
    asked = []
    original = pruning.magnitude_mask

    def recorded(weights, sparsity):
        asked.append(sparsity)
        return original(weights, sparsity)

    monkeypatch.setattr(pruning, "magnitude_mask", recorded)
    trained([spec(mask_interval=5)], digits)
    steps = 2 * -(-len(digits.x_train) // 128)
    expected = [0.9 - 0.4 * (1 - t / steps) ** 3 for t in [*range(0, steps, 5), steps]]
    assert_allclose(asked, np.repeat(expected, 3))


def test_digits_are_learnt(digits):
    long = Training(epochs=25, pruning_epochs=15, batch_size=32)
    scores = [
        (states[False].scores, states[True].scores)
        for states in trained([spec(seed, MLP((64, 64, 64, 10)), long) for seed in range(2)], digits)
    ]
    for unpruned, pruned in scores:
        assert unpruned["test_accuracy"] > 0.93
        assert unpruned["train_accuracy"] > 0.99
        assert unpruned["train_loss"] < unpruned["test_loss"]
        assert pruned["test_accuracy"] > 0.8


def test_scores_are_those_of_the_weights(digits):
    states = trained([spec(dropout=0.5, l1=2e-4, l2=3e-4)], digits)[0]
    for network in states.values():
        for split in ("train", "test"):
            x, y = digits.flat(split)
            for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
                x = (np.maximum(x, 0) if layer else x).astype(float) @ weight.T + bias
            log_p = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
            assert_allclose(network.scores[f"{split}_accuracy"], (log_p.argmax(axis=1) == y).mean(), atol=2e-3)
            assert_allclose(network.scores[f"{split}_loss"], -log_p[np.arange(len(y)), y].mean(), rtol=1e-4)


def penalty(weights, l1, l2, first_layer_l1):
    total = 0.0
    for layer, weight in enumerate(weights):
        if layer == 0 and first_layer_l1:
            total += first_layer_l1 * np.abs(weight).sum(dtype=float)
        else:
            total += l1 * np.abs(weight).sum(dtype=float) + l2 * np.square(weight).sum(dtype=float)
    return total


PENALTIES = [(0, 0, 0), (5e-5, 0, 0), (0, 3e-4, 0), (0, 5e-5, 2e-4), (1e-4, 2e-4, 3e-4), (0, 0, 1e-3)]


@pytest.mark.parametrize(("l1", "l2", "first_layer_l1"), PENALTIES)
def test_the_penalty_is_that_of_the_weights(digits, l1, l2, first_layer_l1):
    states = trained([spec(l1=l1, l2=l2, first_layer_l1=first_layer_l1)], digits)[0]
    for network in states.values():
        expected = penalty(network.weights, l1, l2, first_layer_l1)
        assert_allclose(network.scores["penalty"], expected, rtol=1e-5)


@pytest.mark.parametrize(("norm", "changes"), [(1, {"l1": 1e-3}), (2, {"l2": 1e-3})])
def test_penalties_shrink_what_they_penalize(digits, norm, changes):
    control, penalized = trained([spec(epochs=8), spec(epochs=8, **changes)], digits)
    sizes = [
        sum((np.abs(weight) ** norm).sum() for weight in states[False].weights) for states in (control, penalized)
    ]
    assert sizes[1] < 0.95 * sizes[0]


def test_pruned_weights_are_zero_in_every_step_of_pruning(digits, monkeypatch):
    zeros, original = [], training.gradients

    def recorded(stack, *arguments):
        zeros.append([(weight[0] == 0).clone() for weight in stack.weights])
        return original(stack, *arguments)

    monkeypatch.setattr(training, "gradients", recorded)
    trained([spec(mask_interval=4, pruning_epochs=3)], digits)
    steps = -(-len(digits.x_train) // 128)
    zeros, last = zeros[2 * steps :], 3 * steps
    for step, layers in enumerate(zeros):
        chosen = step - step % 4
        sparsity = 0.9 - 0.4 * (1 - chosen / last) ** 3
        for pruned, at_choice in zip(layers, zeros[chosen], strict=True):
            assert pruned.sum() == round(sparsity * pruned.numel())
            assert torch.equal(pruned, at_choice)


class Recorder:
    """Keeps what training started from and every batch it computed gradients for."""

    def __init__(self, monkeypatch):
        self.steps, self.start = [], None
        gradients = training.gradients

        def recorded_gradients(stack, x, y, keep=None, scale=None):
            masks = None if keep is None else [mask.clone() for mask in keep]
            self.steps.append((x.clone(), y.clone(), masks, scale))
            return gradients(stack, x, y, keep, scale)

        def recorded_start(architecture, generators):
            stack = initialize(architecture, generators)
            self.start = [p.clone() for p in stack.parameters]
            return stack

        monkeypatch.setattr(training, "gradients", recorded_gradients)
        monkeypatch.setattr(training, "initialize", recorded_start)


@pytest.mark.parametrize(
    "changes",
    [{}, {"dropout": 0.3}, {"l1": 1e-3}, {"l2": 1e-3}, {"l2": 1e-3, "first_layer_l1": 2e-3, "dropout": 0.5}],
)
def test_training_equals_plain_pytorch_on_the_same_batches(digits, monkeypatch, changes):
    recorder = Recorder(monkeypatch)
    chosen = spec(pruning_epochs=0, **changes)
    result = trained([chosen], digits)[0][False]

    parameters = [p[0].clone().requires_grad_() for p in recorder.start]
    weights, biases = parameters[: len(parameters) // 2], parameters[len(parameters) // 2 :]
    optimizer = torch.optim.Adam(parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-7)
    t = chosen.training
    for x, y, keep, _ in recorder.steps:
        x, y = x[0], y[0]
        for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            x = torch.nn.functional.linear(x, weight, bias)
            if layer < len(weights) - 1:
                x = x.relu() if keep is None else x.relu() * keep[layer][0] / (1 - t.dropout)
        loss = torch.nn.functional.cross_entropy(x, y)
        for layer, weight in enumerate(weights):
            l1, l2 = (t.first_layer_l1, 0) if layer == 0 and t.first_layer_l1 else (t.l1, t.l2)
            loss = loss + l1 * weight.abs().sum() + l2 * weight.square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for ours, theirs in zip([*result.weights, *result.biases], parameters, strict=True):
        assert_allclose(ours, theirs.detach().numpy(), atol=2e-4)
        assert np.abs(ours - theirs.detach().numpy()).mean() < 1e-5


def test_every_epoch_sees_every_example_once_in_an_order_of_its_own(digits, monkeypatch):
    recorder = Recorder(monkeypatch)
    trained([spec(pruning_epochs=1)], digits)
    sizes = [y.shape[1] for _, y, _, _ in recorder.steps]
    n, batch_size = len(digits.x_train), 128
    steps = -(-n // batch_size)
    assert sizes == ([batch_size] * (steps - 1) + [n - batch_size * (steps - 1)]) * 3
    x, y = digits.flat("train")
    expected = sorted(map(tuple, np.column_stack([x, y]).tolist()))
    orders = []
    for epoch in range(3):
        batches = recorder.steps[epoch * steps : (epoch + 1) * steps]
        seen = torch.cat([torch.column_stack([x[0], y[0]]) for x, y, _, _ in batches]).tolist()
        orders.append(seen)
        assert sorted(map(tuple, seen)) == expected
    assert orders[0] != orders[1] != orders[2]


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_dropout_keeps_the_right_share_of_units_and_their_mean(digits, monkeypatch, rate):
    recorder = Recorder(monkeypatch)
    trained([spec(pruning_epochs=0, dropout=rate)], digits)
    for layer, width in enumerate((16, 12)):
        kept = torch.cat([keep[layer][0] for _, _, keep, _ in recorder.steps])
        assert kept.shape == (2 * len(digits.x_train), width)
        assert set(kept.unique().tolist()) == {0.0, 1.0}
        deviation = np.sqrt(rate * (1 - rate))
        assert abs(kept.mean().item() - (1 - rate)) < 5 * deviation / np.sqrt(kept.numel())
        # No unit and no example is favoured.
        assert (kept.mean(0) - (1 - rate)).abs().max() < 5 * deviation / np.sqrt(len(kept))
    _, _, _, scale = recorder.steps[0]
    assert_allclose(scale.numpy(), 1 / (1 - rate), rtol=1e-6)


@pytest.mark.parametrize("rate", [0.99, 0.999999])
def test_very_high_dropout_drops_nearly_all_units(digits, monkeypatch, rate):
    recorder = Recorder(monkeypatch)
    trained([spec(epochs=1, pruning_epochs=0, dropout=rate)], digits)
    kept = torch.cat([keep[0][0] for _, _, keep, _ in recorder.steps])
    assert kept.mean() < 0.05


def test_dropout_lowers_the_accuracy_only_while_it_acts(digits):
    control, dropped = trained([spec(epochs=15), spec(epochs=15, dropout=0.5)], digits)
    scores = dropped[False].scores
    assert scores["running_train_accuracy"] < scores["train_accuracy"] - 0.05
    assert abs(control[False].scores["running_train_accuracy"] - control[False].scores["train_accuracy"]) < 0.05


@pytest.mark.parametrize("options", [{"workers": 1}, {"workers": 2}])
def test_progress_adds_up_to_the_number_of_networks(digits, options):
    shares = []
    trained([spec(0), spec(1), spec(2)], digits, progress=shares.append, **options)
    assert_allclose(sum(shares), 3)
    assert len(shares) == 3 * 4


def test_every_network_comes_once_with_its_position(digits):
    specs = [spec(seed, pruning_epochs=0) for seed in range(5)]
    results = dict(train(specs, digits, workers=2))
    assert sorted(results) == list(range(5))
    assert_same(by_state(specs[3].training, results[3]), trained([specs[3]], digits)[0])


def test_no_specifications_give_no_networks(digits):
    assert list(train([], digits)) == []


def test_training_leaves_torch_s_threads_as_they_were(digits):
    before = torch.get_num_threads()
    trained([spec(0, pruning_epochs=0), spec(1, pruning_epochs=0)], digits)
    assert torch.get_num_threads() == before


def test_training_stops_soon_after_its_results_are_no_longer_wanted(digits):
    shares = []
    results = train([spec(seed, epochs=20) for seed in range(6)], digits, workers=1, progress=shares.append)
    next(results)
    results.close()
    told = len(shares)
    assert told < 4 * 22
    assert len(shares) == told


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", -1), ("pruning_epochs", -1), ("batch_size", 0), ("mask_interval", 0), ("learning_rate", 0.0),
        ("learning_rate", -1e-3), ("learning_rate", float("nan")), ("dropout", 1.0), ("dropout", -0.1), ("l1", -1e-5),
        ("l2", -1e-5), ("first_layer_l1", -1e-5), ("initial_sparsity", 1.0), ("initial_sparsity", -0.5),
        ("final_sparsity", 1.0), ("final_sparsity", 1.5), ("l1", float("nan")), ("dropout", float("nan")),
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused_by_name(field, value):
    with pytest.raises(InputError, match=field.split("_")[-1]):
        Training(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 3), ("pruning_epochs", 3), ("batch_size", 64), ("learning_rate", 1e-2),
        ("initial_sparsity", 0.1), ("final_sparsity", 0.8), ("mask_interval", 1),
    ],
)  # fmt: skip
def test_networks_that_cannot_train_together_are_refused(digits, field, value):
    with pytest.raises(InputError, match=field):
        list(train([spec(0), spec(1, **{field: value})], digits))


def test_different_architectures_cannot_train_together(digits):
    with pytest.raises(InputError, match="mlp 64-8-10 and mlp 64-16-12-10"):
        list(train([spec(0), spec(1, MLP((64, 8, 10)))], digits))


@pytest.mark.parametrize("sizes", [(63, 8, 10), (64, 8, 9), (784, 8, 10)])
def test_networks_that_do_not_fit_the_data_are_refused(digits, sizes):
    with pytest.raises(InputError, match="does not fit digits: 64 inputs and 10 outputs"):
        list(train([spec(0, MLP(sizes))], digits))


def test_more_outputs_than_classes_are_allowed(digits):
    states = trained([spec(0, MLP((64, 8, 12)), pruning_epochs=0)], digits)[0]
    assert states[False].weights[-1].shape == (12, 8)


@pytest.fixture
def masks(monkeypatch):
    """All masks that training chooses for the first layer, in order."""
    chosen = []

    def recorded(weights, sparsity):
        mask = magnitude_mask(weights, sparsity)
        if weights.shape[2] == 64:  # the inputs
            chosen.append(mask[0].bool())
        return mask

    monkeypatch.setattr(pruning, "magnitude_mask", recorded)
    return chosen


@pytest.mark.parametrize("l1", [0.0, 1e-2])
def test_without_regrowth_what_is_pruned_stays_pruned(digits, masks, l1):
    trained([spec(l1=l1, mask_interval=2)], digits)
    assert len(masks) > 5
    assert all(not (later & ~earlier).any() for earlier, later in pairwise(masks))


def test_with_regrowth_small_weights_come_and_go(digits, masks):
    # Long enough that an L1 penalty makes most weights smaller than one step of Adam.
    hovering = replace(SHORT, epochs=100, pruning_epochs=20, l1=1e-3, mask_interval=2, regrowth=True)
    trained([spec(architecture=MLP((64, 48, 32, 10)), base=hovering)], digits)
    assert any((later & ~earlier).any() for earlier, later in pairwise(masks))


def test_denormal_numbers_are_zero_while_training_and_only_then():
    tiny = torch.tensor([1e-30])
    with training.one_thread():
        assert (tiny * 1e-10).item() == 0
    assert (tiny * 1e-10).item() > 0


def test_networks_are_kept_after_the_epochs_asked_for(digits):
    [(_, states)] = train([spec()], digits, keep_epochs=[0, 1, 3])
    assert sorted(states) == [0, 1, 2, 3, 4]
    [(_, plain)] = train([spec()], digits)
    for epoch in (2, 4):  # keeping changes nothing
        assert_same({epoch: states[epoch]}, {epoch: plain[epoch]})
    assert states[0].scores["test_accuracy"] < 0.4
    assert np.isnan(states[0].scores["running_train_accuracy"])
    for layer, weight in enumerate(states[3].weights):  # while pruning, what is pruned is zero
        assert np.count_nonzero(weight) < 0.5 * weight.size
        assert np.count_nonzero(states[1].weights[layer]) == weight.size


@pytest.mark.parametrize("regrowth", [False, True])
def test_a_kept_network_is_that_of_a_shorter_training(digits, regrowth):
    [(_, states)] = train([spec(regrowth=regrowth)], digits, keep_epochs=[1])
    [(_, short)] = train([spec(regrowth=regrowth, epochs=1, pruning_epochs=0)], digits)
    assert_same({1: states[1]}, short)


def test_untrained_networks_are_those_that_training_starts_from(digits):
    one = spec(initial_groups=4)
    [(_, states)] = train([one], digits, keep_epochs=[0])
    start = training.untrained(one)
    for kept, weight in zip(states[0].weights, start.weights, strict=True):
        assert_array_equal(kept, weight)
    assert all(np.isnan(score) for score in start.scores.values())


def test_clusterable_initialization_keeps_the_first_layer_and_the_mean_weight():
    plain, grouped = (training.untrained(spec(0, MLP((64, 400, 400, 10)), initial_groups=n)) for n in (0, 10))
    assert_array_equal(plain.weights[0], grouped.weights[0])
    ratio = grouped.weights[1] / plain.weights[1]
    assert_allclose(np.unique(ratio.round(4)), [0.6, 4.6], rtol=1e-3)
    assert_allclose((ratio > 1).mean(), 0.1, atol=0.02)
    within = ratio > 1
    rows = {row.tobytes() for row in within}  # neurons of a group see the same groups
    assert len(rows) <= 10
    everywhere = training.untrained(spec(0, MLP((64, 400, 400, 10)), initial_groups=10, initial_first_layer=True))
    assert not np.array_equal(plain.weights[0], everywhere.weights[0])


def test_every_output_has_a_group_of_its_own():
    weights = training.untrained(spec(0, MLP((64, 300, 10)), initial_groups=10)).weights[1]
    plain = training.untrained(spec(0, MLP((64, 300, 10)))).weights[1]
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
