import io
import zipfile

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from clusterability.base.errors import InputError
from clusterability.data import load as datasets
from clusterability.data.catalogue import KEYS, Dataset, entry


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
    on_disk = datasets._from_torchvision

    def no_download(name, folder, *, fetch):
        if fetch:
            raise OSError("no route to the server")
        return on_disk(name, folder, fetch=False)

    monkeypatch.setattr(datasets, "_from_torchvision", no_download)
    return place


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
    original = Dataset("mnist", **arrays)
    prints = {original.fingerprint, Dataset("mnist", **arrays, maximum=16).fingerprint}
    for key in KEYS:
        changed = arrays[key].copy()
        changed.flat[-1] += 1
        prints.add(Dataset("mnist", **{**arrays, key: changed}).fingerprint)
    reshaped = arrays["x_train"].reshape(12, 14, 56)
    prints.add(Dataset("mnist", **{**arrays, "x_train": reshaped}).fingerprint)
    assert len(prints) == 7


def test_a_data_set_of_one_s_own_is_read_back(folder):
    arrays = small_images()
    np.savez(folder / "mnist.npz", **arrays)
    loaded = datasets.load("mnist")
    for key in KEYS:
        assert_array_equal(getattr(loaded, key), arrays[key])
    assert loaded.name == "mnist"
    assert (loaded.n_features, loaded.n_outputs) == (784, 10)
    x, _ = loaded.flat("train")
    np.testing.assert_allclose(x, arrays["x_train"].reshape(12, 784) / 255, rtol=1e-6)
    assert loaded.fingerprint == datasets.fingerprint("mnist")


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
    for ask in [datasets.load, datasets.fingerprint, entry]:
        with pytest.raises(InputError, match=r"'imagenet'.*mnist.*digits"):
            ask("imagenet")


@pytest.mark.parametrize("named", [True, False])
def test_a_data_set_to_be_had_nowhere_names_all_three_places(folder, monkeypatch, named):
    if not named:
        monkeypatch.delenv("CLUSTERABILITY_DATA")
    with pytest.raises(InputError, match=r"data/fashion_mnist\.npz.*no route to the server") as refusal:
        datasets.load("fashion_mnist")
    assert (str(folder / "fashion_mnist.npz") if named else "$CLUSTERABILITY_DATA (not set)") in str(refusal.value)


def test_only_data_at_hand_have_a_fingerprint(folder):
    assert datasets.fingerprint("mnist") is None
    assert datasets.fingerprint("halves_same_mnist") is None
    assert datasets.fingerprint("digits") == datasets.load("digits").fingerprint
    np.savez(folder / "mnist.npz", **small_images())
    assert datasets.fingerprint("mnist") == datasets.load("mnist").fingerprint


def test_the_rest_of_an_interrupted_download_is_not_at_hand(folder, project):
    (project / "data" / "downloads" / "MNIST" / "raw").mkdir(parents=True)
    assert datasets.fingerprint("mnist") is None


def file_of(arrays, save=np.savez):
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


def truncated(save, share):
    whole = file_of(small_images(), save)
    return whole[: int(share * len(whole))]


def damaged(save, place):
    """Zeros over part of the first array's content; compressed, they break its stream."""
    whole = bytearray(file_of(small_images(), save))
    whole[place : place + 50] = bytes(50)
    return bytes(whole)


def single_array():
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((3, 28, 28), np.uint8))
    return buffer.getvalue()


def archive_of_texts():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for key in KEYS:
            archive.writestr(f"{key}.npy", "text")
    return buffer.getvalue()


class Executed:
    def __reduce__(self):
        return (exec, ("raise AssertionError('the file was executed')",))


def changed(**arrays):
    return file_of(small_images() | arrays)


def test_files_that_are_no_data_set_are_refused_unread(folder):
    cases = [
        (b"", "plain arrays"),
        (b"\x80\x04N.", "plain arrays"),
        (truncated(np.savez, 0.5), "plain arrays"),
        (truncated(np.savez_compressed, 0.99), "plain arrays"),
        (damaged(np.savez, 500), "plain arrays"),
        (damaged(np.savez_compressed, 900), "plain arrays"),
        (single_array(), "plain arrays"),
        (archive_of_texts(), "plain arrays"),
        (changed(x_train=np.array([Executed()] * 12, dtype=object)), "plain arrays"),
        (file_of({key: small_images()[key] for key in KEYS[:3]}), "lacks the array 'y_test'"),
        (changed(x_test=np.zeros((6, 28, 28))), "x_test of float64 and y_test of int64: images of uint8"),
        (changed(y_train=np.zeros(12)), "x_train of uint8 and y_train of float64: .* integer labels"),
        (changed(y_train=np.zeros(11, int)), "12 images in x_train but 11 labels"),
        (changed(x_test=np.zeros((0, 28, 28), np.uint8), y_test=np.zeros(0, int)), "0 images in x_test"),
        (changed(y_train=np.arange(12) - 1), "label -1 in y_train"),
        (changed(x_test=np.zeros((6, 14, 14), np.uint8)), r"\(28, 28\) in x_train but \(14, 14\) in x_test"),
    ]
    for content, message in cases:
        (folder / "mnist.npz").write_bytes(content)
        with pytest.raises(InputError, match=rf"mnist\.npz.*{message}"):
            datasets.load("mnist")


def test_images_have_channels_first_and_lie_between_0_and_1(digits):
    arrays = small_images(shape=(4, 6, 3))
    colours = Dataset("cifar10", **arrays)
    x, y = colours.images("train")
    assert x.dtype == np.float32
    np.testing.assert_allclose(x, arrays["x_train"].transpose(0, 3, 1, 2) / 255, rtol=1e-6)
    assert_array_equal(y, arrays["y_train"])
    x, y = digits.images("test")
    np.testing.assert_allclose(x[:, 0], digits.x_test / 16)
    assert_array_equal(y, digits.y_test)


def test_the_shape_of_images_is_known_without_loading_them():
    for name in ["digits", "line_8", "halves_same_digits", "stacked_same_digits", "stacked_diff_digits"]:
        loaded = datasets.load(name)
        assert entry(name).image_shape == loaded.image_shape == loaded.images("train")[0].shape[1:]
        assert (entry(name).n_features, entry(name).maximum) == (loaded.n_features, loaded.maximum)


def test_the_papers_images_have_their_shapes():
    shapes = {"mnist": (1, 28, 28), "small_mnist": (1, 7, 7), "cifar10": (3, 32, 32), "grey_cifar10": (1, 28, 28),
              "stacked_diff_fashion_mnist": (2, 28, 28), "mixed_line_mnist": (1, 28, 28)}  # fmt: skip
    assert {name: entry(name).image_shape for name in shapes} == shapes


def test_variants_take_the_place_of_their_base():
    assert [entry(name).base for name in ("halves_same_mnist", "line", "mixed_line_mnist")] == [
        "mnist", "line", "mixed_line_mnist",
    ]  # fmt: skip


def test_polynomials_hold_no_images():
    for ask in (lambda: entry("polynomials").image_shape, lambda: datasets.load("polynomials_2000").images("test")):
        with pytest.raises(InputError, match=r"polynomials.*no images"):
            ask()


def test_images_stored_flat_are_refused(folder):
    np.savez(folder / "mnist.npz", **small_images(shape=(784,)))
    with pytest.raises(InputError, match=r"mnist holds no images.*784"):
        datasets.load("mnist").images("train")
