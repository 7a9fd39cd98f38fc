"""What convolutional networks alone have: bfloat16, moved images, checkpoints; their rows."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from clusterability.base import files as paths
from clusterability.base.errors import InputError
from clusterability.clustering.measure import Measurement, measure
from clusterability.data import load as datasets
from clusterability.experiments import compute
from clusterability.experiments import grid as experiments
from clusterability.experiments import run as running
from clusterability.networks.cnn import CNN
from clusterability.training.checkpoint import Checkpoint, load_states, save_states
from clusterability.training.cnn import augmented, moved
from clusterability.training.spec import NetworkSpec, Training
from clusterability.training.train import train

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
    path = tmp_path / "checkpoint.pt"
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
    path = tmp_path / "checkpoint.pt"
    trained([member], few, checkpoints=[Checkpoint(path, interval=0)])
    standing = Checkpoint(path).read([])
    assert (standing["pruning"], standing["epoch"]) == (True, 2)
    assert Checkpoint(path).read([1]) is None
    assert_same(
        trained([member], few, keep_epochs=[1], checkpoints=[Checkpoint(path)])[0],
        trained([member], few, keep_epochs=[1])[0],
    )
    cut = path.read_bytes()[:1000]
    for spoil in (lambda: path.write_bytes(cut), lambda: path.write_bytes(b""), lambda: torch.save({}, path)):
        spoil()
        checkpoint = Checkpoint(path)
        assert checkpoint.read([]) is None
        assert checkpoint.earlier_seconds == 0
    assert_same(*(trained([member], few, checkpoints=own)[0] for own in ([Checkpoint(path)], [])))


def test_finished_networks_are_stored_in_the_layout_that_older_ones_have(few, tmp_path):
    [states] = trained([spec(0, NORMALIZED)], few)
    save_states(tmp_path / "network.npz", states, 2.5)
    with np.load(tmp_path / "network.npz", allow_pickle=False) as file:
        one = [
            *(f"weight{n}" for n in range(5)),
            *(f"bias{n}" for n in range(5)),
            *(f"normalization{n}" for n in range(4)),
        ]
        assert set(file) == {"seconds", *(f"epoch{epoch}_{name}" for epoch in (1, 2) for name in (*one, "scores"))}
        assert json.loads(str(file["epoch2_scores"])) == states[2].scores
        assert file["epoch2_normalization3"].shape == (4, 8)
    again, seconds = load_states(tmp_path / "network.npz", [2])
    assert_same(again, {2: states[2]})
    assert seconds == 2.5
    assert load_states(tmp_path / "network.npz", [2, 3]) is None


def test_checkpoints_are_written_no_more_often_than_asked(few, tmp_path):
    path = tmp_path / "checkpoint.pt"
    trained([spec(0, base=LONGER)], few, checkpoints=[Checkpoint(path, interval=1000)])
    assert not path.exists()


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
    measured = measure(runs[0].network.architecture.graph(states[2]), Measurement(3, 3), 0)
    assert_allclose(rows["ncut"][0], measured.ncut, rtol=1e-6)
    assert_allclose(rows["z"][0], measured.z, rtol=1e-6)
    assert rows["vertices"][0] == measured.n_vertices <= 18
    assert_allclose(rows["test_accuracy"][0], states[2].scores["test_accuracy"])
    weights = np.concatenate([weight[weight != 0] for weight in states[2].weights])
    assert_allclose(rows["small_weights"][0], (np.abs(weights) < 1e-3).mean(), rtol=1e-6)

    def forbidden(*arguments, **options):
        raise AssertionError("trained again")

    monkeypatch.setattr(compute, "train", lambda specs, *_, **__: forbidden() if specs else iter(()))
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
            if under_way["epoch"] == 2:
                raise Stopped

    monkeypatch.setattr(compute, "Checkpoint", lambda path: StopsAfterTwoEpochs(path, interval=0))
    with pytest.raises(Stopped):
        running.run("figure", runs)
    assert [path.suffixes for path in paths.networks_folder().iterdir()] == [[".checkpoint", ".pt"]]
    monkeypatch.setattr(compute, "Checkpoint", Checkpoint)
    orders, original = [], torch.randperm
    monkeypatch.setattr(torch, "randperm", lambda *args, **options: orders.append(1) or original(*args, **options))
    row = running.run("figure", runs, recompute=recompute).iloc[0]
    assert len(orders) == (4 if recompute else 2)  # an epoch each
    monkeypatch.setattr(torch, "randperm", original)
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


def test_grids_that_make_no_sense_are_refused():
    cases = [
        ({"datasets": ["polynomials"]}, "polynomials.*no images"), ({"blocks": []}, "batch_norm"),
        ({"blocks": [[6]]}, "one convolution"), ({"measurement": Measurement(19)}, "19 clusters"),
        ({"conditions": {"Drop": {"convolution_dropout": [0.1]}}}, "3 convolutions"),
    ]  # fmt: skip
    for changes, words in cases:
        with pytest.raises(InputError, match=words):
            experiments.grid(**{**FIELDS, **changes})


def test_convolutional_networks_are_not_lesioned():
    with pytest.raises(InputError, match=r"cnn 1x8x8.*lesioned"):
        [replace(run, kind="lesions", n_controls=10) for run in experiments.grid(**FIELDS)]
