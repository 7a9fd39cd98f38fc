"""Convolutional networks learn, are pruned, kept and measured as perceptrons are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from clusterability.base import files as paths
from clusterability.base.errors import InputError
from clusterability.base.threads import one_thread
from clusterability.clustering.measure import Measurement, measure
from clusterability.data import load as datasets
from clusterability.experiments import grid as experiments
from clusterability.experiments import run as running
from clusterability.graphs.layered import LayeredGraph
from clusterability.networks.cnn import CNN, Parameters, channel_matrices, initialize
from clusterability.networks.mlp import MLP
from clusterability.training import cnn as image_training
from clusterability.training.augmentation import augmented, moved
from clusterability.training.checkpoint import Checkpoint
from clusterability.training.cnn import train_images
from clusterability.training.loop import Phases, Randomness
from clusterability.training.spec import NetworkSpec, Training
from clusterability.training.train import train, untrained
from helpers import assert_sequential_state, sequential

TINY = CNN((1, 8, 8), ((4, 5), (3,)), (8,))
NORMALIZED = replace(TINY, batch_norm=True)
SHORT = Training(epochs=1, pruning_epochs=1, batch_size=64)


@pytest.fixture(scope="module")
def few(digits):
    """The first 250 digits: three batches and a shorter one."""
    parts = {key: getattr(digits, key)[:250] for key in datasets.KEYS}
    return datasets.Dataset("digits", **parts, maximum=digits.maximum)


def spec(seed=0, architecture=TINY, base=SHORT, **changes):
    return NetworkSpec("digits", architecture, replace(base, **changes), seed)


def trained(specs, dataset, **options):
    return [states for _, states in sorted(train(specs, dataset, **options), key=lambda pair: pair[0])]


def assert_same(first, second):
    assert first.keys() == second.keys()
    for epoch in first:
        a, b = first[epoch], second[epoch]
        for part in ("weights", "biases", "normalizations"):
            for x, y in zip(getattr(a, part), getattr(b, part), strict=True):
                assert_array_equal(x, y)
        assert_array_equal(list(a.scores.values()), list(b.scores.values()))


MIXED = [
    spec(0), spec(1, dropout=0.5, convolution_dropout=(0.25,) * 3), spec(2, NORMALIZED, l2=1e-4),
    spec(3, augmentation=True), spec(4, CNN((1, 8, 8), ((4,),)), batch_size=32),
]  # fmt: skip


@pytest.mark.parametrize("workers", [1, 2])
def test_networks_trained_beside_others_equal_those_trained_alone(few, workers):
    for states, member in zip(trained(MIXED, few, workers=workers), MIXED, strict=True):
        assert_same(states, trained([member], few)[0])


def test_seeds_make_networks_and_torch_s_global_seed_does_not(few):
    torch.manual_seed(1)
    first = trained([MIXED[1]], few)[0]
    torch.manual_seed(2)
    assert_same(first, trained([MIXED[1]], few)[0])
    assert not np.array_equal(first[1].weights[0], trained([replace(MIXED[1], seed=9)], few)[0][1].weights[0])


@pytest.mark.parametrize(
    ("architecture", "changes"), [(TINY, {"l1": 1e-3}), (NORMALIZED, {"l2": 1e-3}), (NORMALIZED, {"l1": 1e-3})]
)
def test_training_equals_plain_pytorch_on_the_same_batches(few, architecture, changes):
    chosen = spec(3, architecture, epochs=2, pruning_epochs=0, **changes)
    [states] = trained([chosen], few)
    randomness = Randomness(3, "cpu")
    model = sequential(architecture, initialize(architecture, randomness.weights))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7)
    x, y = map(torch.from_numpy, few.images("train"))
    with one_thread():
        for _ in range(2):
            for batch in torch.randperm(len(x), generator=randomness.order).split(64):
                loss = torch.nn.functional.cross_entropy(model(x[batch]), y[batch])
                for weight in (parameter for parameter in model.parameters() if parameter.ndim > 1):
                    loss = loss + chosen.training.l1 * weight.abs().sum() + chosen.training.l2 * weight.square().sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    assert_sequential_state(states[2], model, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("architecture", [TINY, NORMALIZED])
def test_scores_are_those_of_what_is_kept(few, architecture):
    changes = {"l1": 2e-4, "l2": 3e-4, "dropout": 0.5, "convolution_dropout": (0.2, 0.2, 0.2)}
    [states] = trained([spec(0, architecture, **changes)], few)
    for network in states.values():
        tensors = [[torch.from_numpy(array) for array in part] for part in (network.weights, network.biases)]
        split = [torch.from_numpy(array).split(2) for array in network.normalizations]
        model = sequential(architecture, Parameters(*tensors, [s for s, _ in split], [s for _, s in split])).eval()
        for part in ("train", "test"):
            x, y = few.images(part)
            log_p = model(torch.from_numpy(x)).log_softmax(1).detach().numpy()
            assert_allclose(network.scores[f"{part}_accuracy"], (log_p.argmax(1) == y).mean(), atol=5e-3)
            assert_allclose(network.scores[f"{part}_loss"], -log_p[np.arange(len(y)), y].mean(), rtol=1e-4)
        penalty = sum(2e-4 * np.abs(w).sum() + 3e-4 * np.square(w).sum() for w in network.weights)
        assert_allclose(network.scores["penalty"], penalty, rtol=1e-5)


@pytest.mark.parametrize("sparsity", [0.9, 0.37])
def test_kernels_and_matrices_are_pruned_to_the_final_sparsity(few, sparsity):
    [states] = trained([spec(0, NORMALIZED, initial_sparsity=0.3, final_sparsity=sparsity, mask_interval=2)], few)
    for weight, bias in zip(states[2].weights, states[2].biases, strict=True):
        assert (weight == 0).sum() == round(sparsity * weight.size)
        assert bias.all()
    assert all(weight.all() for weight in states[1].weights)
    assert all(normalization.all() for normalization in states[2].normalizations)


def test_what_is_pruned_is_zero_at_every_step(few, monkeypatch):
    zeros, original = [], image_training.logits

    def recorded(architecture, parameters, x, **options):
        if options.get("training"):
            zeros.append([int((weight == 0).sum()) for weight in parameters.weights])
        return original(architecture, parameters, x, **options)

    monkeypatch.setattr(image_training, "logits", recorded)
    trained([spec(mask_interval=3, pruning_epochs=2)], few)
    sizes = [weight.numel() for weight in initialize(TINY, torch.Generator()).weights]
    for step, counts in enumerate(zeros[4:]):
        sparsity = 0.9 - 0.4 * (1 - (step - step % 3) / 8) ** 3
        assert counts == [round(sparsity * size) for size in sizes]


@pytest.fixture
def dropped(monkeypatch):
    """Of every hidden layer's outputs while training, the factors that dropout multiplied them by."""
    original, factors = image_training.logits, {}

    def recorded(architecture, parameters, x, *, training=False, drop=None):
        def recording(x, layer):
            result = drop(x, layer)
            factors.setdefault(layer, []).append((result / x)[x != 0].detach())
            return result

        return original(architecture, parameters, x, training=training, drop=drop and recording)

    monkeypatch.setattr(image_training, "logits", recorded)
    return factors


def test_dropout_follows_every_hidden_layer_at_its_rate(few, dropped):
    rates = (0.5, 0.0, 0.25, 0.75)
    trained([spec(epochs=4, dropout=rates[3], convolution_dropout=rates[:3])], few)
    for layer, rate in enumerate(rates):
        factors = torch.cat(dropped[layer])
        kept = factors > 0
        assert_allclose(factors[kept], 1 / (1 - rate), rtol=1e-5)
        assert abs(kept.float().mean() - (1 - rate)) <= 5 * np.sqrt(rate * (1 - rate) / len(factors))


def test_the_second_dense_layer_of_a_normalized_network_has_no_dropout(few, dropped):
    trained([spec(0, replace(NORMALIZED, dense=(6, 6)), dropout=0.9)], few)
    first, second = (torch.cat(dropped[len(NORMALIZED.channels) + place]) for place in (0, 1))
    assert (first == 0).any()
    assert (second == 1).all()


@pytest.mark.parametrize("architecture", [TINY, NORMALIZED])
def test_bfloat16_changes_little_but_something(few, architecture):
    changes = {"epochs": 2, "dropout": 0.2, "convolution_dropout": (0.1,) * 3}
    exact, rounded = trained([spec(0, architecture, **changes, bfloat16=half) for half in (False, True)], few)
    assert all(weight.dtype == np.float32 for weight in rounded[3].weights)
    for before, after in zip(exact[2].weights, rounded[2].weights, strict=True):
        assert not np.array_equal(before, after)
        assert np.abs(before - after).mean() < 0.1 * np.abs(before).mean()
    for epoch in (2, 3):
        assert_allclose(exact[epoch].scores["test_loss"], rounded[epoch].scores["test_loss"], rtol=0.1)


def test_digits_are_learnt_and_stay_learnt_while_pruning(digits):
    # Long enough for the running statistics, which average over some hundred steps.
    base = Training(epochs=12, pruning_epochs=3, batch_size=32, learning_rate=3e-3, final_sparsity=0.7)
    specs = [spec(0, CNN((1, 8, 8), ((8, 8), (8,)), (16,), batch_norm=norm), base) for norm in (False, True)]
    for states in trained(specs, digits):
        assert states[12].scores["test_accuracy"] > 0.8
        assert states[12].scores["running_train_accuracy"] > 0.7
        assert states[12].scores["train_loss"] < 0.6
        assert states[15].scores["test_accuracy"] > 0.7


def test_networks_are_kept_after_the_epochs_asked_for_without_changing_the_others(few):
    chosen = spec(0, NORMALIZED, epochs=2)
    [states] = trained([chosen], few, keep_epochs=[0, 1])
    assert sorted(states) == [0, 1, 2, 3]
    [plain] = trained([chosen], few)
    assert_same({epoch: states[epoch] for epoch in plain}, plain)
    start = untrained(chosen)
    for kept, first in zip(states[0].weights, start.weights, strict=True):
        assert_array_equal(kept, first)
    assert [n.shape for n in start.normalizations] == [(4, 4), (4, 5), (4, 3), (4, 8)]
    assert all(np.isnan(score) for score in start.scores.values())


class Stopped(Exception):
    """What a run is stopped with."""


LONGER = replace(SHORT, epochs=2, pruning_epochs=3)


@pytest.mark.parametrize("passed", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "member",
    [
        spec(1, base=LONGER, dropout=0.5, convolution_dropout=(0.25,) * 3, l2=1e-4),
        spec(2, NORMALIZED, LONGER, augmentation=True, bfloat16=True),
    ],
    ids=lambda member: member.architecture.name,
)
def test_a_stopped_training_goes_on_to_the_same_network(few, tmp_path, member, passed):
    expected = trained([member], few, keep_epochs=[1, 2, 5])[0]
    path = tmp_path / "checkpoint.npz"
    told = []

    def stop(share):
        told.append(share)
        if len(told) == passed:
            raise Stopped

    with pytest.raises(Stopped):
        trained([member], few, keep_epochs=[1, 2, 5], progress=stop, checkpoints=[Checkpoint(path, interval=0)])
    checkpoint, shares = Checkpoint(path), []
    again = trained([member], few, keep_epochs=[5, 1, 2], progress=shares.append, checkpoints=[checkpoint])[0]
    assert_same(expected, again)
    assert sum(shares) == pytest.approx(1)
    # After the last epoch of a phase nothing is written: the next writing is one epoch away.
    written = passed - (passed == LONGER.epochs)
    assert shares[0] == pytest.approx(written / 5)
    assert len(shares) == 1 + 5 - written
    assert checkpoint.earlier_seconds > 0


def test_a_checkpoint_serves_only_those_who_keep_the_same_epochs(few, tmp_path):
    member = spec(0, base=LONGER)
    path = tmp_path / "checkpoint.npz"
    trained([member], few, checkpoints=[Checkpoint(path, interval=0)])
    assert Checkpoint(path).read([]).epoch == 2
    assert Checkpoint(path).read([]).pruning
    assert Checkpoint(path).read([1]) is None
    assert_same(
        trained([member], few, keep_epochs=[1], checkpoints=[Checkpoint(path)])[0],
        trained([member], few, keep_epochs=[1])[0],
    )
    path.write_bytes(path.read_bytes()[:1000])
    assert Checkpoint(path).read([]) is None


def test_checkpoints_are_written_no_more_often_than_asked(few, tmp_path):
    path = tmp_path / "checkpoint.npz"
    trained([spec(0, base=LONGER)], few, checkpoints=[Checkpoint(path, interval=1000)])
    assert not path.exists()


def test_clusterable_starts_leave_the_first_convolution_alone(few):
    plain, grouped, everywhere = (
        untrained(spec(initial_damping=0.8, **changes))
        for changes in ({}, {"initial_groups": 2}, {"initial_groups": 2, "initial_first_layer": True})
    )
    assert_array_equal(plain.weights[0], grouped.weights[0])
    assert not np.array_equal(plain.weights[0], everywhere.weights[0])
    for layer, (before, after) in enumerate(zip(plain.weights[1:], grouped.weights[1:], strict=True), 1):
        factors = {0.8, 1.2} if layer < len(TINY.channels) else {1}  # kernels only
        assert set(np.unique((after / before).round(3))) == {np.float32(factor) for factor in factors}


def test_progress_adds_up_and_stops_soon_after_nobody_waits(few):
    shares = []
    results = train([spec(seed) for seed in range(4)], few, workers=1, progress=shares.append)
    next(results)
    results.close()
    assert sum(shares) < 4
    told = len(shares)
    trained([spec(0), spec(1)], few, progress=shares.append)
    assert_allclose(sum(shares[told:]), 2)


def test_no_specifications_give_no_networks(few):
    assert list(train_images([], few)) == []


@pytest.mark.parametrize(
    ("specs", "words"),
    [
        ([spec(0, CNN((1, 28, 28), ((4,),)))], "cnn 1x28x28.* does not fit digits: images of 1×8×8"),
        ([spec(0, CNN((1, 8, 8), ((4,),), (), 9))], "10 outputs"),
        ([spec(0), spec(0, MLP((64, 10)))], "mlp 64-10 and cnn 1x8x8.* cannot train together"),
        ([spec(0, NORMALIZED, batch_size=83)], "batch_size 83: .* batch of one"),
        ([spec(0, NORMALIZED, batch_size=1)], "batch_size 1: .* batch of one"),
    ],
)
def test_networks_that_do_not_fit_are_refused(few, specs, words):
    with pytest.raises(InputError, match=words):
        list(train(specs, few))


def test_data_sets_without_images_are_refused():
    with pytest.raises(InputError, match="no images"):
        list(train([spec(0)], datasets.load("polynomials_2000")))


# Augmentation

STILL = {"angles": torch.zeros(3), "shifts": torch.zeros(3, 2), "flips": torch.zeros(3, dtype=torch.bool)}


@pytest.fixture
def pictures():
    return torch.rand(3, 2, 8, 6, generator=torch.Generator().manual_seed(0))


def test_what_is_not_moved_stays(pictures):
    assert_allclose(moved(pictures, **STILL), pictures, atol=1e-5)


def test_a_flip_exchanges_left_and_right_of_its_image_only(pictures):
    flipped = moved(pictures, **{**STILL, "flips": torch.tensor([True, False, True])})
    assert_allclose(flipped[[0, 2]], pictures[[0, 2]].flip(3), atol=1e-5)
    assert_allclose(flipped[1], pictures[1], atol=1e-5)


def test_a_quarter_turn_is_counterclockwise(pictures):
    square = pictures[..., 1:7, :]
    turned = moved(square, **{**STILL, "angles": torch.full((3,), np.pi / 2)})
    assert_allclose(turned, torch.rot90(square, dims=(2, 3)), atol=1e-5)


def test_turning_an_oblong_image_keeps_distances():
    # A disk in the middle stays one: nothing is stretched with the image's sides.
    y, x = torch.meshgrid(torch.arange(40.0) - 19.5, torch.arange(20.0) - 9.5, indexing="ij")
    disk = torch.sigmoid(6 - (x.square() + y.square()).sqrt())[None, None]
    turned = moved(disk, torch.tensor([0.7]), torch.zeros(1, 2), torch.zeros(1, dtype=torch.bool))
    assert_allclose(turned, disk, atol=0.05)


def test_shifts_are_shares_of_the_sides_and_borders_go_on(pictures):
    right = moved(pictures, **{**STILL, "shifts": torch.tensor([[1 / 6, 0.0]] * 3)})
    assert_allclose(right, torch.cat([pictures[..., 1:], pictures[..., -1:]], dim=3), atol=1e-5)
    down = moved(pictures, **{**STILL, "shifts": torch.tensor([[0.0, 2 / 8]] * 3)})
    assert_allclose(down[..., :6, :], pictures[..., 2:, :], atol=1e-5)


def test_random_moves_stay_in_shape_range_and_reach():
    spot = torch.zeros(2000, 1, 21, 21)
    spot[:, :, 10, 15] = 1  # a quarter of the width beside the centre
    result = augmented(spot, torch.Generator().manual_seed(0))
    assert result.shape == spot.shape
    assert result.min() >= 0
    assert result.max() <= 1
    rows, columns = np.divmod(result.flatten(1).argmax(1).numpy(), 21) - np.array(10)
    assert abs((columns < 0).mean() - 0.5) < 0.06  # flipped
    assert np.abs(columns).min() >= 2
    assert np.abs(columns).max() in (7, 8)  # 5 and a tenth of 21
    assert np.abs(rows).max() in (3, 4)  # 5 sin 15° and a tenth of 21
    again = augmented(spot, torch.Generator().manual_seed(0))
    assert torch.equal(result, again)


# Rows and cache


@pytest.fixture(autouse=True)
def may_compute(monkeypatch):
    monkeypatch.setenv("CLUSTERABILITY_STORE", "paper")


FIELDS = {
    "datasets": ["digits"], "conditions": {"Control": {}, "L2": {"l2": 1e-4}}, "n_replicates": 1, "hidden": [8],
    "blocks": [[6, 6], [6]], "batch_norm": True, "training": SHORT, "pruned": True,
    "measurement": Measurement(3, 3), "seed": 0,
}  # fmt: skip


def test_rows_of_convolutional_networks_are_computed_once(project, digits, monkeypatch):
    runs = experiments.grid(**FIELDS)
    rows = running.run("figure", runs)
    assert set(rows["architecture"]) == {"cnn 1x8x8-6x2-P-6-P-8-10 bn"}
    [(_, states)] = train([runs[0].network], digits)
    matrices = channel_matrices(runs[0].network.architecture, states[2])
    measured = measure(LayeredGraph.of(matrices), Measurement(3, 3), 0)
    assert_allclose(rows["ncut"][0], measured.ncut, rtol=1e-6)
    assert_allclose(rows["z"][0], measured.z, rtol=1e-6)
    assert rows["vertices"][0] == measured.n_vertices <= 18
    assert_allclose(rows["test_accuracy"][0], states[2].scores["test_accuracy"])
    weights = np.concatenate([weight[weight != 0] for weight in states[2].weights])
    assert_allclose(rows["small_weights"][0], (np.abs(weights) < 1e-3).mean(), rtol=1e-6)

    def forbidden(*arguments, **options):
        raise AssertionError("trained again")

    monkeypatch.setattr(running, "train", lambda specs, *_, **__: forbidden() if specs else iter(()))
    norms = [replace(run, kernel_norm="frobenius", fold_normalization=True, condition="folded") for run in runs]
    folded = running.run("figure", [*runs, *norms])
    assert folded["key"].nunique() == 4
    assert (folded["ncut"][2:].to_numpy() != folded["ncut"][:2].to_numpy()).all()


@pytest.mark.parametrize("recompute", [False, True])
def test_a_run_stopped_within_a_network_goes_on_there(project, digits, monkeypatch, recompute):
    runs = experiments.grid(**{**FIELDS, "conditions": {"Control": {}}, "training": replace(SHORT, epochs=3)})

    class StopsAfterTwoEpochs(Checkpoint):
        def write(self, under_way, keep_epochs):
            super().write(under_way, keep_epochs)
            if under_way.epoch == 2:
                raise Stopped

    monkeypatch.setattr(running, "Checkpoint", lambda path: StopsAfterTwoEpochs(path, interval=0))
    with pytest.raises(Stopped):
        running.run("figure", runs)
    assert [path.suffixes for path in paths.networks_folder().iterdir()] == [[".checkpoint", ".npz"]]
    monkeypatch.setattr(running, "Checkpoint", Checkpoint)
    epochs = []
    monkeypatch.setattr(Phases, "_tell_epochs", lambda self, n: epochs.append(n))
    row = running.run("figure", runs, recompute=recompute).iloc[0]
    assert epochs == ([1, 1, 1, 1] if recompute else [2, 1, 1])
    [(_, states)] = train([runs[0].network], digits)
    assert row["test_loss"] == pytest.approx(states[4].scores["test_loss"], rel=1e-6)
    assert [path.suffixes for path in paths.networks_folder().iterdir()] == [[".npz"]]


def test_perceptrons_and_convolutional_networks_share_a_table(project):
    runs = experiments.grid(**FIELDS) + experiments.grid(**{**FIELDS, "blocks": (), "batch_norm": False})
    assert running.run("figure", runs)["architecture"].nunique() == 2


def test_untrained_convolutional_networks_need_no_data(project, monkeypatch):
    monkeypatch.setattr(datasets, "load", lambda name: pytest.fail("loaded"))
    conditions = {"Control": {}, "Clusterable": {"initial_groups": 3, "initial_damping": 0.1}}
    network = CNN((3, 32, 32), ((12, 12, 12),))
    runs = experiments.untrained_grid(conditions, 1, network, measurement=Measurement(3, 0), seed=0)
    rows = running.run("figure", runs).set_index("condition")
    assert rows["ncut"]["Clusterable"] < rows["ncut"]["Control"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"datasets": ["polynomials"]}, "Polynomials.*no images"), ({"blocks": []}, "batch_norm"),
        ({"blocks": [[6]]}, "one convolution"), ({"measurement": Measurement(19)}, "19 clusters"),
        ({"conditions": {"Drop": {"convolution_dropout": [0.1]}}}, "3 convolutions"),
    ],
)  # fmt: skip
def test_grids_that_make_no_sense_are_refused(changes, words):
    with pytest.raises(InputError, match=words):
        experiments.grid(**{**FIELDS, **changes})


def test_convolutional_networks_are_not_lesioned():
    with pytest.raises(InputError, match=r"cnn 1x8x8.*lesioned"):
        [replace(run, kind="lesions", n_controls=10) for run in experiments.grid(**FIELDS)]
