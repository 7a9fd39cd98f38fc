"""Constructed data sets are what they are said to be."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterability.data import constructed
from clusterability.data import load as datasets
from clusterability.data.catalogue import ENTRIES


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@given(st.integers(0, 255), st.sampled_from([(14, 28), (7, 7), (28, 14), (28, 28)]))
def test_a_grey_image_stays_grey_at_any_size(value, size):
    images = np.full((2, 28, 28), value, dtype=np.uint8)
    np.testing.assert_allclose(constructed.resized(images, *size), value, atol=1e-3)


def test_resizing_is_linear_and_keeps_the_mean(rng):
    a, b = rng.uniform(0, 255, (2, 3, 32, 32))
    summed = constructed.resized(a, 28, 28) + 2 * constructed.resized(b, 28, 28)
    np.testing.assert_allclose(constructed.resized(a + 2 * b, 28, 28), summed, rtol=1e-4)
    inner = np.zeros((1, 28, 28))
    inner[0, 8:20, 8:20] = rng.uniform(0, 255, (12, 12))
    np.testing.assert_allclose(constructed.resized(inner, 14, 14).mean(), inner.mean(), rtol=0.02)


def test_an_image_of_the_same_size_stays_as_it_is(rng):
    images = rng.integers(256, size=(2, 8, 8))
    np.testing.assert_allclose(constructed.resized(images, 8, 8), images, atol=1e-4)


def test_white_is_white_and_green_brighter_than_blue():
    colours = np.array([[[[255, 255, 255], [0, 255, 0], [0, 0, 255]]]], dtype=np.uint8)
    white, green, blue = constructed.grey(colours)[0, 0]
    assert white == pytest.approx(255, rel=1e-4)
    assert green > blue > 0


def test_halves_same_pair_images_of_one_class(digits, rng):
    x, y = constructed.halves_same(digits.x_train, digits.y_train, digits.maximum, rng)
    half = constructed.half_width(digits.x_train, digits.maximum)
    np.testing.assert_array_equal(y, digits.y_train)
    np.testing.assert_array_equal(x[:, :, :4], half)
    for image, label in list(zip(x, y, strict=True))[:50]:
        partners = half[digits.y_train == label]
        assert (image[:, 4:] == partners).all(axis=(1, 2)).any()
    assert x.max() == digits.maximum


def test_halves_diff_are_labelled_with_the_sum_of_their_classes(digits, rng):
    x, y = constructed.halves_diff(digits.x_train, digits.y_train, digits.maximum, 10, rng)
    half = constructed.half_width(digits.x_train, digits.maximum)
    assert x.shape == digits.x_train.shape
    labels = {}
    for image, label in zip(half, digits.y_train, strict=True):
        labels.setdefault(image.tobytes(), set()).add(int(label))
    for image, label in list(zip(x, y, strict=True))[:50]:
        left, right = (labels[np.ascontiguousarray(part).tobytes()] for part in (image[:, :4], image[:, 4:]))
        assert label in {(a + b) % 10 for a in left for b in right}


def test_stacked_same_pair_images_of_one_class_as_channels(digits, rng):
    x, y = constructed.stacked_same(digits.x_train, digits.y_train, rng)
    np.testing.assert_array_equal(y, digits.y_train)
    np.testing.assert_array_equal(x[..., 0], digits.x_train)
    for image, label in list(zip(x, y, strict=True))[:50]:
        partners = digits.x_train[digits.y_train == label]
        assert (image[..., 1] == partners).all(axis=(1, 2)).any()
    assert not np.array_equal(x[..., 0], x[..., 1])


def test_stacked_diff_are_labelled_with_the_sum_of_their_classes(digits, rng):
    x, y = constructed.stacked_diff(digits.x_train, digits.y_train, 10, rng)
    assert x.shape == (*digits.x_train.shape, 2)
    labels = {}
    for image, label in zip(digits.x_train, digits.y_train, strict=True):
        labels.setdefault(image.tobytes(), set()).add(int(label))
    for image, label in list(zip(x, y, strict=True))[:50]:
        first, second = (labels[np.ascontiguousarray(image[..., channel]).tobytes()] for channel in (0, 1))
        assert label in {(a + b) % 10 for a in first for b in second}


def test_lines_are_whole_columns_and_as_many_as_their_label_says(rng):
    x, y = constructed.lines(2000, 28, 10, rng)
    assert set(np.unique(x)) == {0, 255}
    np.testing.assert_array_equal(x, np.repeat(x[:, :1], 28, axis=1))
    np.testing.assert_array_equal((x[:, 0] == 255).sum(axis=1), y + 1)
    assert set(y) == set(range(10))
    columns = (x[:, 0] == 255).mean(axis=0)  # no column is preferred
    np.testing.assert_allclose(columns, columns.mean(), atol=0.06)


def test_noise_has_nothing_to_learn(rng):
    x, y = constructed.noise(5000, 8, 10, rng)
    means = np.array([x[y == label].mean() for label in range(10)])
    assert set(y) == set(range(10))
    np.testing.assert_allclose(means, 127.5, atol=2.5)


def test_pooled_sets_keep_every_example(rng):
    first, second = ((np.arange(n) + start, np.arange(n) % 10) for n, start in ((30, 0), (20, 100)))
    x, y = constructed.pooled(first, second, rng)
    assert sorted(x) == [*range(30), *range(100, 120)]
    np.testing.assert_array_equal(y, np.where(x < 100, x, x - 100) % 10)
    assert list(x[:30]) != list(range(30))


def test_separated_sets_share_no_class(rng):
    first, second = ((np.arange(n) + start, np.arange(n) % 10) for n, start in ((30, 0), (20, 100)))
    x, y = constructed.separated(first, second, 10, rng)
    np.testing.assert_array_equal(y < 5, x < 100)
    assert len(y) == 25


def test_polynomials_are_sums_of_the_nine_monomials(rng):
    x, y = constructed.polynomials(20, rng)
    a, b = x.T.astype(float)
    monomials = [a**i * b**j for i in range(3) for j in range(3)]
    for column in (0, 1, 2, 3, 255, 256, 511):
        bits = [int(bit) for bit in f"{column:09b}"]
        expected = sum((m for m, bit in zip(monomials, bits, strict=True) if bit), np.zeros(20))
        np.testing.assert_allclose(y[:, column], expected, rtol=1e-4, atol=1e-5)
    images, numbers = constructed.polynomial_images(5, size=9)
    assert images.shape == (5, 9, 9)
    assert len(set(numbers)) == 5
    np.testing.assert_array_equal(images.reshape(5, -1).max(axis=1), 255)


CONSTRUCTED = [name for name, known in ENTRIES.items() if known.sources or datasets.fingerprint(name)]


@pytest.mark.parametrize("name", ["halves_same_digits", "line_8", "random_8", "mixed_line_8_digits",
                                  "separated_line_8_digits", "polynomials_2000", "random_3000"])  # fmt: skip
def test_constructed_sets_have_the_dimensions_they_are_listed_with_and_are_always_alike(name):
    one, two = datasets.load(name), datasets.load(name)
    assert (one.n_features, one.n_outputs) == ENTRIES[name].dimensions
    assert one.fingerprint == datasets.fingerprint(name)
    for split in ("train", "test"):
        for a, b in zip(one.split(split), two.split(split), strict=True):
            np.testing.assert_array_equal(a, b)
        x, _ = one.flat(split)
        assert name.startswith("polynomials") or (x.min() >= 0 and x.max() <= 1)


def test_no_two_constructed_sets_share_a_fingerprint():
    prints = [datasets.fingerprint(name) for name in CONSTRUCTED]
    known = [fingerprint for fingerprint in prints if fingerprint is not None]
    assert len(set(known)) == len(known) > 5


def test_a_constructed_set_is_other_data_when_its_source_is(tmp_path, monkeypatch):
    monkeypatch.setenv("CLUSTERABILITY_DATA", str(tmp_path))
    seen = set()
    for value in (0, 1):
        arrays = {
            f"{kind}_{split}": np.full((20, 28, 28) if kind == "x" else 20, value + (kind == "x"), dtype=np.uint8)
            for kind in "xy"
            for split in ("train", "test")
        }
        arrays["x_train"][0, 0, 0] = 255
        np.savez(tmp_path / "mnist.npz", **arrays, padding=np.zeros(1 + 100 * value))
        seen.add(datasets.fingerprint("halves_same_mnist"))
        assert datasets.load("halves_same_mnist").fingerprint in seen
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("line_8", "62d74d678f68"),
        ("random_8", "9f31ef09858a"),
        ("mixed_line_8_digits", "e79733a7f5b3"),
    ],
)
def test_what_a_recipe_makes_changes_only_with_the_recipe_s_number(name, content):
    dataset = datasets.load(name)
    digest = hashlib.sha256(dataset.x_train.tobytes() + dataset.y_train.tobytes()).hexdigest()[:12]
    assert digest == content, "raise catalogue.RECIPES, so that stored rows count as other data"
