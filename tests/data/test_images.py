"""The published data sets through the public function, and what `ImageSet` refuses."""

import dataclasses
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits as sklearn_digits

from explorer.data import DATASETS, ImageSet, Split, dataset_names, load_images
from explorer.data.images import default_data_dir
from explorer.errors import InputDataError, UsageError

# Change these only with a new data set name: stored predictions are keyed by them.
GOLDEN_DIGESTS = {
    "digits": "a331da156cc224714febb22c8f72ee41d9a7ccc39c91703854284730b8b0fc24",
    "fashion-mnist": "e4d0cb76482f0c02be1df2a65a5a1d5b7903ee9f328fd19996c1ffb6946dc64a",
    "cifar10": "cde34ee01596d46225d44dafccad0c58faeed7916b7873dfd17d72d52412830d",
}


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return load_images("digits")


@pytest.fixture(scope="module")
def fashion_mnist(unpacked_data: Path) -> ImageSet:
    return load_images("fashion-mnist", data_dir=unpacked_data)


@pytest.fixture(scope="module")
def cifar10(unpacked_data: Path) -> ImageSet:
    return load_images("cifar10", data_dir=unpacked_data)


@pytest.fixture(params=list(DATASETS))
def image_set(request: pytest.FixtureRequest) -> ImageSet:
    return request.getfixturevalue(request.param.replace("-", "_"))


def test_set_is_as_its_description_says(image_set: ImageSet) -> None:
    info = DATASETS[image_set.name]

    assert (len(image_set.train), len(image_set.select), len(image_set.report)) == info.examples
    assert (image_set.native, image_set.channels, len(image_set.classes)) == (
        info.native,
        info.channels,
        info.classes,
    )
    assert image_set.source == info.source
    assert image_set.split_digest == GOLDEN_DIGESTS[image_set.name]


def test_no_image_is_in_two_parts(image_set: ImageSet) -> None:
    pixels = [
        {image.tobytes() for image in split.images}
        for split in (image_set.train, image_set.select, image_set.report)
    ]

    assert not pixels[0] & pixels[1]
    assert not pixels[0] & pixels[2]
    assert not pixels[1] & pixels[2]
    assert image_set.notes == ()


def test_arrays_are_ready_for_a_trainer(image_set: ImageSet) -> None:
    for split in (image_set.train, image_set.select, image_set.report):
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int64
        assert split.images.flags.c_contiguous
        assert split.images.flags.writeable  # torch.from_numpy warns about read-only arrays
        assert set(split.labels) == set(range(10))
        assert split.images.max() == 255
        assert split.images.min() == 0


def test_digits_are_scikit_learns_pixels_each_exactly_once(digits: ImageSet) -> None:
    bunch = sklearn_digits()
    expected = sorted(
        zip(map(bytes, np.rint(bunch.images * 255 / 16).astype(np.uint8)), bunch.target, strict=True)
    )
    found = [
        (image.tobytes(), label)
        for split in (digits.train, digits.select, digits.report)
        for image, label in zip(split.images, split.labels, strict=True)
    ]

    assert sorted(found) == expected
    assert len({image for image, _ in found}) == 1797  # no two alike, so the parts share none either


def test_report_of_published_sets_is_the_test_set_in_order(
    fashion_mnist: ImageSet, cifar10: ImageSet, unpacked_data: Path
) -> None:
    raw = np.fromfile(unpacked_data / "cifar-10-batches-bin" / "test_batch.bin", np.uint8).reshape(
        10_000, 3073
    )

    assert np.array_equal(cifar10.report.labels, raw[:, 0])
    for channel in range(3):
        plane = raw[:, 1 + channel * 1024 : 1 + (channel + 1) * 1024].reshape(-1, 32, 32)
        assert np.array_equal(cifar10.report.images[..., channel], plane)
    # the first labels of Fashion-MNIST's test set: ankle boot, pullover, trouser, trouser, shirt
    assert fashion_mnist.report.labels[:5].tolist() == [9, 2, 1, 1, 6]


def test_cifar10_agrees_with_the_reference_arrays(cifar10: ImageSet, shared_dir: Path) -> None:
    # SHA-256 of the official test images as [n, 32, 32, 3]
    found = hashlib.sha256(cifar10.report.images.tobytes()).hexdigest()
    assert found == "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04"

    train_labels = np.load(shared_dir / "data" / "cifar10" / "train_y.npy")
    ranked = sorted(range(50_000), key=lambda i: hashlib.sha256(b"cifar10/%d" % i).digest())
    assert np.array_equal(cifar10.select.labels, train_labels[sorted(ranked[:5000])])
    assert np.array_equal(cifar10.train.labels, train_labels[sorted(ranked[5000:])])


def test_same_digest_in_a_new_process_with_other_hash_seed() -> None:
    program = "from explorer.data import load_images; print(load_images('digits').split_digest)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "17", "PATH": ""},
    )

    assert done.stdout.strip() == GOLDEN_DIGESTS["digits"]


def test_files_directly_in_the_folder_and_in_torchvisions_layout(unpacked_data: Path, tmp_path: Path) -> None:
    direct, torchvision = tmp_path / "direct", tmp_path / "tv" / "FashionMNIST" / "raw"
    direct.mkdir()
    torchvision.mkdir(parents=True)
    for file in (unpacked_data / "fashion-mnist").iterdir():
        (direct / file.name).symlink_to(file)
        (torchvision / file.name).symlink_to(file)

    for data_dir in (direct, tmp_path / "tv"):
        found = load_images("fashion-mnist", data_dir=data_dir)
        assert found.split_digest == GOLDEN_DIGESTS["fashion-mnist"]


def test_names_and_unknown_names() -> None:
    assert dataset_names() == ("digits", "fashion-mnist", "cifar10", "folder:PATH")
    with pytest.raises(
        UsageError, match=r"unknown data set 'cifar-10'; did you mean cifar10\? known: .*folder:PATH"
    ):
        load_images("cifar-10")
    for name in ("folder", "folder:"):
        with pytest.raises(UsageError, match=r"wanted folder:PATH or folder:PATH@SIZE"):
            load_images(name)


def test_data_dir_comes_from_the_environment_or_the_users_cache(
    monkeypatch: pytest.MonkeyPatch, own_data_dir: Path
) -> None:
    assert default_data_dir() == own_data_dir
    monkeypatch.delenv("EXPLORER_DATA_DIR")
    assert default_data_dir().parts[-2:] == ("scale-or-ensemble", "data")


@pytest.mark.parametrize(
    ("name", "file", "megabytes"),
    [("cifar10", "data_batch_1.bin", "170 MB"), ("fashion-mnist", "t10k-labels-idx1-ubyte.gz", "31 MB")],
)
def test_missing_files_say_which_where_and_what_to_do(
    name: str, file: str, megabytes: str, own_data_dir: Path
) -> None:
    with pytest.raises(InputDataError) as caught:
        load_images(name)

    message = str(caught.value)
    assert "\n" not in message
    for part in (name, file, str(own_data_dir), "--data-dir DIR", f"--download ({megabytes})"):
        assert part in message
    assert not own_data_dir.exists()  # asking leaves no folder behind


def test_one_missing_file_is_named_alone(unpacked_data: Path, tmp_path: Path) -> None:
    for file in (unpacked_data / "cifar-10-batches-bin").glob("*.bin"):
        if file.name != "data_batch_4.bin":
            (tmp_path / file.name).symlink_to(file)

    with pytest.raises(InputDataError, match=r"^cifar10: data_batch_4\.bin not found in "):
        load_images("cifar10", data_dir=tmp_path)


def test_importing_the_room_stays_light() -> None:
    program = (
        "import explorer.data, sys; print([m for m in ('torch', 'sklearn', 'streamlit') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def split(examples: int = 7, labels: tuple[int, ...] = (0, 1, 1)) -> Split:
    cycle = np.resize(np.array(labels, dtype=np.int64), examples)
    return Split(images=np.zeros((examples, 5, 5, 3), dtype=np.uint8), labels=cycle)


GOOD = {
    "name": "made-up",
    "classes": ("a", "b"),
    "train": split(),
    "select": split(3),
    "report": split(5),
    "split_digest": "0" * 64,
    "native": 5,
    "channels": 3,
    "source": "a test",
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ("a",)}, "at least 2 classes"),
        ({"native": 6}, r"train has shape \(7, 5, 5, 3\); expected .* \(6, 6, 3\)"),
        ({"channels": 1}, r"expected .* \(5, 5, 1\)"),
        ({"report": split(0)}, r"report has shape \(0, 5, 5, 3\)"),
        ({"select": split(3, (0, 2))}, "select has labels 0 to 2, expected 0 to 1"),
        ({"select": split(3, (-1, 1))}, "select has labels -1 to 1, expected 0 to 1"),
    ],
)
def test_impossible_image_sets_are_refused(changes: dict[str, object], message: str) -> None:
    good = ImageSet(**GOOD)  # type: ignore[arg-type]

    with pytest.raises(InputDataError, match=message):
        dataclasses.replace(good, **changes)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((3, 5, 5), np.uint8), np.zeros(3, np.int64), r"uint8 \[example, height, width, channel\]"),
        (np.zeros((3, 5, 5, 1), np.float32), np.zeros(3, np.int64), "got float32"),
        (np.zeros((3, 5, 5, 1), np.uint8), np.zeros(2, np.int64), r"labels must be int64 \[3\]"),
        (np.zeros((3, 5, 5, 1), np.uint8), np.zeros(3, np.int32), "got int32"),
    ],
)
def test_impossible_splits_are_refused(images: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(InputDataError, match=message):
        Split(images=images, labels=labels)
