import io
import zipfile

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from clusterability.base.errors import InputError
from clusterability.data import load as datasets
from clusterability.data.catalogue import entry


def small_images(n=12, seed=0, shape=(28, 28)):
    rng = np.random.default_rng(seed)
    return {
        "x_train": rng.integers(0, 256, (n, *shape), dtype=np.uint8),
        "y_train": np.arange(n) % 10,
        "x_test": rng.integers(0, 256, (n // 2, *shape), dtype=np.uint8),
        "y_test": np.arange(n // 2) % 10,
    }


@pytest.fixture
def folder(project, monkeypatch):
    """The user's folder of data sets; nothing can be downloaded."""
    place = project / "own"
    place.mkdir()
    monkeypatch.setenv("CLUSTERABILITY_DATA", str(place))
    monkeypatch.setattr(datasets, "_download", no_download)
    return place


def no_download(name, folder):
    raise OSError("no route to the server")


def test_digits_have_their_shapes_and_scale(digits):
    assert digits.x_train.shape[1:] == digits.x_test.shape[1:] == (8, 8)
    assert (digits.n_features, digits.n_outputs) == (64, 10)
    n_test = 360  # a fifth of 1797, rounded up
    for split, n in (("train", 1797 - n_test), ("test", n_test)):
        x, y = digits.flat(split)
        assert x.shape == (n, 64)
        assert x.dtype == np.float32
        assert (x.min(), x.max()) == (0, 1)
        assert y.shape == (n,)
        assert y.dtype == np.int64
        assert set(y.tolist()) == set(range(10))


def test_digits_are_split_without_losing_or_sharing_an_example(digits):
    from sklearn.datasets import load_digits

    def rows(x, y):
        return sorted(map(tuple, np.column_stack([x.reshape(len(x), -1), y]).astype(int).tolist()))

    bunch = load_digits()
    halves = [*rows(digits.x_train, digits.y_train), *rows(digits.x_test, digits.y_test)]
    assert sorted(halves) == rows(bunch.images, bunch.target)


def test_no_digit_is_rare_in_a_split(digits):
    for y in (digits.y_train, digits.y_test):
        assert (np.bincount(y, minlength=10) / len(y)).min() > 0.05


def test_a_fingerprint_is_the_same_at_every_load_and_changes_with_the_data(digits):
    assert datasets.load("digits").fingerprint == digits.fingerprint
    assert len(digits.fingerprint) == 12
    arrays = small_images()
    original = datasets.Dataset("mnist", **arrays)
    prints = {original.fingerprint, datasets.Dataset("mnist", **arrays, maximum=16).fingerprint}
    for key in datasets.KEYS:
        changed = arrays[key].copy()
        changed.flat[-1] += 1
        prints.add(datasets.Dataset("mnist", **{**arrays, key: changed}).fingerprint)
    reshaped = arrays["x_train"].reshape(12, 14, 56)
    prints.add(datasets.Dataset("mnist", **{**arrays, "x_train": reshaped}).fingerprint)
    assert len(prints) == 7


def test_a_data_set_of_one_s_own_is_read_back(folder):
    arrays = small_images()
    np.savez(folder / "mnist.npz", **arrays)
    loaded = datasets.load("mnist")
    for key in datasets.KEYS:
        assert_array_equal(getattr(loaded, key), arrays[key])
    assert loaded.name == "mnist"
    assert (loaded.n_features, loaded.n_outputs) == (784, 10)
    x, _ = loaded.flat("train")
    np.testing.assert_allclose(x, arrays["x_train"].reshape(12, 784) / 255, rtol=1e-6)
    assert loaded.fingerprint == datasets.available("mnist").fingerprint


def test_compressed_files_and_columns_of_labels_are_read_alike(folder):
    arrays = small_images()
    np.savez(folder / "mnist.npz", **arrays)
    plain = datasets.load("mnist").fingerprint
    arrays["y_train"] = arrays["y_train"].astype(np.uint8).reshape(-1, 1)
    np.savez_compressed(folder / "mnist.npz", **arrays)
    assert datasets.load("mnist").fingerprint == plain


def test_the_user_s_folder_comes_before_the_checkout(folder, project):
    (project / "data").mkdir()
    np.savez(project / "data" / "mnist.npz", **small_images(seed=1))
    in_checkout = datasets.load("mnist").fingerprint
    np.savez(folder / "mnist.npz", **small_images(seed=2))
    assert datasets.load("mnist").fingerprint != in_checkout


def test_unknown_names_are_refused_with_the_known_ones():
    for ask in (datasets.load, datasets.available, entry):
        with pytest.raises(InputError, match=r"'imagenet'.*mnist.*digits"):
            ask("imagenet")


def test_a_data_set_to_be_had_nowhere_names_all_three_places(folder):
    with pytest.raises(InputError) as refusal:
        datasets.load("fashion_mnist")
    text = str(refusal.value)
    assert str(folder / "fashion_mnist.npz") in text
    assert "data/fashion_mnist.npz" in text
    assert "no route to the server" in text


def test_a_data_set_to_be_had_nowhere_names_the_variable_that_is_not_set(folder, monkeypatch):
    monkeypatch.delenv("CLUSTERABILITY_DATA")
    with pytest.raises(InputError, match=r"\$CLUSTERABILITY_DATA.*data/mnist.npz.*no route to the server"):
        datasets.load("mnist")


def test_only_data_at_hand_is_available(folder):
    assert datasets.available("mnist") is None
    assert datasets.available("digits").name == "digits"
    np.savez(folder / "mnist.npz", **small_images())
    assert datasets.available("mnist").name == "mnist"


def test_the_rest_of_an_interrupted_download_is_not_available(folder, project):
    (project / "data" / "downloads" / "MNIST" / "raw").mkdir(parents=True)
    assert datasets.available("mnist") is None


def refused(folder, content, match):
    """Loading ``mnist`` from this file is refused in one sentence that names the file."""
    if isinstance(content, dict):
        np.savez(folder / "mnist.npz", **content)
    else:
        (folder / "mnist.npz").write_bytes(content)
    with pytest.raises(InputError, match=match) as refusal:
        datasets.load("mnist")
    assert "mnist.npz" in str(refusal.value)


def file_of(arrays, save=np.savez):
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_truncated_files_are_refused(folder, share, save):
    whole = file_of(small_images(), save)
    refused(folder, whole[: int(share * len(whole))], "readable")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("seed", range(5))
def test_damaged_files_are_refused(folder, save, seed):
    # Zeros over part of the first array's content; compressed, they break its stream.
    whole = bytearray(file_of(small_images(), save))
    start = 100 + 400 * seed
    whole[start : start + 50] = bytes(50) if seed % 2 else b"\xff" * 50
    refused(folder, bytes(whole), "readable")


@pytest.mark.parametrize("content", [b"not a file of numpy's", b"PK\x03\x04", b"\x80\x04N."])
def test_other_files_are_refused(folder, content):
    refused(folder, content, "readable")


def test_a_single_array_under_the_name_of_an_archive_is_refused(folder):
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((3, 28, 28), np.uint8))
    refused(folder, buffer.getvalue(), "mnist.npz")


@pytest.mark.parametrize("key", datasets.KEYS)
def test_a_missing_array_is_named(folder, key):
    arrays = small_images()
    del arrays[key]
    refused(folder, arrays, f"lacks the array '{key}'")


@pytest.mark.parametrize("key", ["x_train", "y_test"])
def test_object_arrays_are_refused_unread(folder, key):
    class Opened:
        def __reduce__(self):
            return (exec, ("raise AssertionError('the file was executed')",))

    arrays = small_images()
    arrays[key] = np.array([Opened()] * len(arrays[key]), dtype=object)
    refused(folder, arrays, "plain arrays")


@pytest.mark.parametrize(
    ("key", "dtype"), [("x_train", np.float32), ("x_test", np.int64), ("y_train", np.float64), ("y_test", "U1")]
)
def test_arrays_of_another_type_are_refused(folder, key, dtype):
    arrays = small_images()
    arrays[key] = arrays[key].astype(dtype)
    refused(folder, arrays, key)


@pytest.mark.parametrize("split", ["train", "test"])
def test_another_number_of_labels_than_images_is_refused(folder, split):
    arrays = small_images()
    arrays[f"y_{split}"] = arrays[f"y_{split}"][:-1]
    refused(folder, arrays, f"x_{split} but [0-9]+ labels")


def test_splits_without_examples_are_refused(folder):
    arrays = small_images()
    arrays["x_test"], arrays["y_test"] = arrays["x_test"][:0], arrays["y_test"][:0]
    refused(folder, arrays, "0 images")


def test_test_images_of_another_size_are_refused(folder):
    refused(folder, {**small_images(), "x_test": np.zeros((6, 14, 14), np.uint8)}, "x_test")


def test_negative_labels_are_refused(folder):
    arrays = small_images()
    arrays["y_train"] = arrays["y_train"] - 1
    refused(folder, arrays, "y_train")


def test_archives_of_other_things_are_refused(folder):
    with zipfile.ZipFile(folder / "mnist.npz", "w") as archive:
        for key in datasets.KEYS:
            archive.writestr(f"{key}.npy", "text")
    with pytest.raises(InputError, match=r"mnist\.npz"):
        datasets.load("mnist")


def test_images_have_channels_first_and_lie_between_0_and_1(digits):
    arrays = small_images(shape=(4, 6, 3))
    colours = datasets.Dataset("cifar10", **arrays)
    x, y = colours.images("train")
    assert x.dtype == np.float32
    np.testing.assert_allclose(x, arrays["x_train"].transpose(0, 3, 1, 2) / 255, rtol=1e-6)
    assert_array_equal(y, arrays["y_train"])
    x, y = digits.images("test")
    np.testing.assert_allclose(x[:, 0], digits.x_test / 16)
    assert_array_equal(y, digits.y_test)


@pytest.mark.parametrize(
    "name", ["digits", "line_8", "halves_same_digits", "stacked_same_digits", "stacked_diff_digits"]
)
def test_the_shape_of_images_is_known_without_loading_them(name):
    loaded = datasets.load(name)
    assert entry(name).image_shape == loaded.image_shape == loaded.images("train")[0].shape[1:]
    assert entry(name).n_features == loaded.n_features


def test_the_papers_images_have_their_shapes():
    shapes = {"mnist": (1, 28, 28), "small_mnist": (1, 7, 7), "cifar10": (3, 32, 32), "grey_cifar10": (1, 28, 28),
              "stacked_diff_fashion_mnist": (2, 28, 28), "mixed_line_mnist": (1, 28, 28)}  # fmt: skip
    assert {name: entry(name).image_shape for name in shapes} == shapes


def test_polynomials_hold_no_images():
    for ask in (
        lambda: entry("polynomials").image_shape,
        lambda: datasets.load("polynomials_2000").images("test"),
    ):
        with pytest.raises(InputError, match=r"(?i)polynomials.*no images"):
            ask()


def test_images_stored_flat_are_refused(folder):
    np.savez(folder / "mnist.npz", **small_images(shape=(784,)))
    with pytest.raises(InputError, match=r"mnist holds no images.*784"):
        datasets.load("mnist").images("train")
