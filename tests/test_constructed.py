"""Constructed data sets are what they are said to be."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterability.data import constructed
from clusterability.data import load as datasets
from clusterability.data.catalogue import ENTRIES, Dataset, entry


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


def image_set(first, second, maximum=255):
    """Two images of two classes."""
    x = np.array([first, second], dtype=np.uint8)
    return Dataset("two", x, np.array([0, 1]), x, np.array([0, 1]), maximum)


def test_white_is_white_and_green_brighter_than_blue(rng):
    white, green, blue = ([[colour] * 32] * 32 for colour in ([255, 255, 255], [0, 255, 0], [0, 0, 255]))
    brightness = []
    for first, second in ((white, green), (white, blue)):
        x, y = constructed.grey_images("test", [image_set(first, second)], rng)
        assert x.shape == (2, 28, 28)
        assert y.tolist() == [0, 1]
        assert (x[0] == 255).all()
        brightness.append(int(x[1, 0, 0]))
    assert brightness[0] > brightness[1] > 0


def class_of_image(x, y):
    """The labels that every image has."""
    labels = {}
    for image, label in zip(x, y, strict=True):
        labels.setdefault(np.ascontiguousarray(image).tobytes(), set()).add(int(label))
    return lambda image: labels[np.ascontiguousarray(image).tobytes()]


# Every maker: what one part of an image is, and how to get the two parts.
HALVES = (lambda digits: constructed.half_width("train", digits)[0], lambda x: (x[:, :, :4], x[:, :, 4:]))
STACKED = (lambda digits: digits.x_train, lambda x: (x[..., 0], x[..., 1]))


@pytest.mark.parametrize(("make", "parts"), [(constructed.halves_same, HALVES), (constructed.stacked_same, STACKED)])
def test_same_pair_images_of_one_class(digits, rng, make, parts):
    x, y = make("train", [digits], rng)
    whole, (first, second) = parts[0](digits), parts[1](x)
    np.testing.assert_array_equal(y, digits.y_train)
    np.testing.assert_array_equal(first, whole)
    assert not np.array_equal(first, second)
    assert x.max() == digits.maximum
    classes = class_of_image(whole, digits.y_train)
    for image, label in list(zip(second, y, strict=True))[:50]:
        assert label in classes(image)


@pytest.mark.parametrize(("make", "parts"), [(constructed.halves_diff, HALVES), (constructed.stacked_diff, STACKED)])
def test_diff_are_labelled_with_the_sum_of_their_classes(digits, rng, make, parts):
    x, y = make("train", [digits], rng)
    classes = class_of_image(parts[0](digits), digits.y_train)
    assert set(y.tolist()) == set(range(10))
    for first, second, label in list(zip(*parts[1](x), y, strict=True))[:50]:
        assert label in {(a + b) % 10 for a in classes(first) for b in classes(second)}


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


@pytest.fixture
def two_sets():
    """Images of one pixel that tell their set and example."""
    sets = []
    for n, start in ((30, 0), (20, 100)):
        x, y = (np.arange(n) + start).astype(np.uint8).reshape(n, 1, 1), np.arange(n) % 10
        sets.append(Dataset("set", x, y, x, y))
    return sets


def test_mixed_sets_keep_every_example(two_sets, rng):
    x, y = constructed.mixed("train", two_sets, rng)
    x = x.ravel().astype(int)
    assert sorted(x) == [*range(30), *range(100, 120)]
    np.testing.assert_array_equal(y, np.where(x < 100, x, x - 100) % 10)
    assert list(x[:30]) != list(range(30))


def test_separated_sets_share_no_class(two_sets, rng):
    x, y = constructed.separated("train", two_sets, rng)
    np.testing.assert_array_equal(y < 5, x.ravel() < 100)
    assert len(y) == 25


def test_white_is_as_white_in_both_sets(digits, rng):
    x, y = constructed.mixed("test", [digits, image_set(np.zeros((8, 8)), np.ones((8, 8)), maximum=1)], rng)
    assert x.max() == 255
    assert (x.reshape(len(x), -1).min(axis=1) == 255).sum() == 1
    assert len(y) == len(digits.y_test) + 2


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


def test_constructed_sets_have_the_dimensions_they_are_listed_with_and_are_always_alike():
    cases = ["halves_same_digits", "line_8", "random_8", "mixed_line_8_digits",
                                  "separated_line_8_digits", "polynomials_2000", "random_3000"]  # fmt: skip
    for name in cases:
        one, two = datasets.load(name), datasets.load(name)
        known = entry(name)
        assert (one.n_features, one.n_outputs, one.maximum) == (known.n_features, known.n_outputs, known.maximum)
        assert one.fingerprint == datasets.fingerprint(name)
        for split in ("train", "test"):
            for a, b in zip(one.split(split), two.split(split), strict=True):
                np.testing.assert_array_equal(a, b)
            x, _ = one.flat(split)
            assert name.startswith("polynomials") or (x.min() >= 0 and x.max() <= 1)


def test_no_two_constructed_sets_share_a_fingerprint():
    prints = [datasets.fingerprint(name) for name in ENTRIES]
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
