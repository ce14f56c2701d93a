import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.data import folder as folder_module
from explorer.data import load_images
from explorer.errors import InputDataError, UsageError

Maker = Callable[..., Path]


def picture(path: Path, *, seed: int, size: tuple[int, int] = (5, 5), mode: str = "RGB") -> np.ndarray:
    """Write an image of noise and return its pixels."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    shape = (size[1], size[0]) if bands == 1 else (size[1], size[0], bands)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels, mode=mode).save(path)
    return pixels


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """11 cats and 7 dogs, colour, 5 x 5."""
    for label, (animal, count) in enumerate((("cat", 11), ("dog", 7))):
        for number in range(count):
            picture(tmp_path / "pets" / animal / f"{number:03}.png", seed=100 * label + number)
    return tmp_path / "pets"


def everything(image_set) -> dict[bytes, int]:
    return {
        image.tobytes(): int(label)
        for split in (image_set.train, image_set.select, image_set.report)
        for image, label in zip(split.images, split.labels, strict=True)
    }


def test_every_image_once_with_the_class_of_its_folder(pets: Path) -> None:
    found = load_images(f"folder:{pets}")

    assert found.name == f"folder:{pets}"
    assert found.classes == ("cat", "dog")
    assert (found.native, found.channels) == (5, 3)
    expected = {
        np.asarray(Image.open(file)).tobytes(): label
        for label, animal in enumerate(("cat", "dog"))
        for file in (pets / animal).iterdir()
    }
    assert everything(found) == expected
    assert len(expected) == 18
    # 20 % of 11 and of 7, rounded, for select and for report
    assert [len(s) for s in (found.train, found.select, found.report)] == [18 - 6, 2 + 1, 2 + 1]


def test_split_follows_the_files_wherever_the_folder_is(pets: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(pets, tmp_path / "elsewhere" / "renamed")

    one, other = load_images(f"folder:{pets}"), load_images(f"folder:{moved}")

    assert one.split_digest == other.split_digest
    assert np.array_equal(one.report.images, other.report.images)


def test_one_more_image_is_another_split(pets: Path) -> None:
    before = load_images(f"folder:{pets}").split_digest
    picture(pets / "dog" / "another.png", seed=9999)

    assert load_images(f"folder:{pets}").split_digest != before


def test_given_test_set_is_the_report_and_only_the_report(pets: Path, tmp_path: Path) -> None:
    root = tmp_path / "parted"
    shutil.copytree(pets, root / "train")
    expected = {
        picture(root / "test" / animal / f"{n}.png", seed=7000 + 10 * label + n).tobytes(): label
        for label, animal in enumerate(("cat", "dog"))
        for n in range(3)
    }

    found = load_images(f"folder:{root}")

    reported = {i.tobytes(): int(n) for i, n in zip(found.report.images, found.report.labels, strict=True)}
    assert reported == expected
    assert not set(expected) & {i.tobytes() for s in (found.train, found.select) for i in s.images}
    assert [len(s) for s in (found.train, found.select)] == [18 - 3, 2 + 1]


def test_copies_in_two_parts_are_noted(pets: Path, tmp_path: Path) -> None:
    root = tmp_path / "parted"
    shutil.copytree(pets, root / "train")
    shutil.copytree(pets / "cat", root / "test" / "cat")  # all 11 reported cats were trained or chosen on
    picture(root / "test" / "dog" / "new.png", seed=12345)

    notes = load_images(f"folder:{root}").notes

    assert notes == (
        "9 of 12 images of 'report' are also in 'train', pixel for pixel; accuracies come out too high",
        "2 of 12 images of 'report' are also in 'select', pixel for pixel; accuracies come out too high",
    )
    assert load_images(f"folder:{pets}").notes == ()


def test_hidden_folders_and_other_files_are_left_out(pets: Path) -> None:
    before = load_images(f"folder:{pets}").split_digest
    (pets / ".thumbnails").mkdir()
    (pets / "README.txt").write_text("about these pets")
    (pets / "cat" / "notes.txt").write_text("a cat")

    assert load_images(f"folder:{pets}").split_digest == before


@pytest.mark.parametrize(
    ("modes", "channels"), [(("L", "L"), 1), (("L", "RGB"), 3), (("RGBA", "RGB"), 3), (("L", "LA"), 1)]
)
def test_channels_follow_from_the_files(tmp_path: Path, modes: tuple[str, str], channels: int) -> None:
    for label, mode in enumerate(modes):
        for number in range(3):
            picture(tmp_path / "set" / f"c{label}" / f"{number}.png", seed=10 * label + number, mode=mode)

    found = load_images(f"folder:{tmp_path / 'set'}")

    assert found.channels == channels
    assert found.train.images.shape[-1] == channels


def test_transparency_is_dropped_not_blended(tmp_path: Path) -> None:
    kept = set()
    for label in range(2):
        for number in range(3):
            path = tmp_path / "set" / f"c{label}" / f"{number}.png"
            kept.add(picture(path, seed=10 * label + number, mode="RGBA")[..., :3].tobytes())

    assert set(everything(load_images(f"folder:{tmp_path / 'set'}"))) == kept


def test_size_crops_the_middle_square(tmp_path: Path) -> None:
    # 9 x 5: the middle 5 x 5 is red, the rest blue; only the middle may be seen
    for label in range(2):
        for number in range(3):
            pixels = np.zeros((5, 9, 3), dtype=np.uint8)
            pixels[..., 2] = 255
            pixels[:, 2:7] = (251, 10 * label, number)
            path = tmp_path / "set" / f"c{label}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)

    same = load_images(f"folder:{tmp_path / 'set'}@5")
    larger = load_images(f"folder:{tmp_path / 'set'}@13")

    assert same.native == 5
    assert larger.native == 13
    for found in (same, larger):
        assert np.all(found.train.images[..., 0] == 251)
        assert np.array_equal(found.train.images[:, 0, 0, 1], 10 * found.train.labels)
    assert same.split_digest != larger.split_digest


def test_orientation_of_a_photograph_is_honoured(tmp_path: Path) -> None:
    for label in range(2):
        for number in range(3):
            pixels = np.zeros((8, 8, 3), dtype=np.uint8)
            pixels[:4] = 255  # upper half white as stored
            image = Image.fromarray(pixels)
            exif = image.getexif()
            exif[0x0112] = 3  # "turn by 180 degrees"
            path = tmp_path / "set" / f"c{label}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path, exif=exif)

    found = load_images(f"folder:{tmp_path / 'set'}")

    assert np.all(found.train.images[:, 4:] == 255)
    assert np.all(found.train.images[:, :4] == 0)


def broken_layouts() -> dict[str, tuple[Callable[[Path], None], str]]:
    def no_folder(pets: Path) -> None:
        shutil.rmtree(pets)

    def one_class(pets: Path) -> None:
        shutil.rmtree(pets / "dog")

    def empty_class(pets: Path) -> None:
        (pets / "emu").mkdir()

    def few(pets: Path) -> None:
        for number in range(2):
            picture(pets / "emu" / f"{number}.png", seed=number)

    def text(pets: Path) -> None:
        (pets / "cat" / "fake.png").write_text("no image")

    def nothing(pets: Path) -> None:
        (pets / "cat" / "empty.png").write_bytes(b"")

    def truncated(pets: Path) -> None:
        file = pets / "dog" / "003.png"
        file.write_bytes(file.read_bytes()[:-30])

    def oblong(pets: Path) -> None:
        picture(pets / "cat" / "wide.png", seed=1, size=(7, 5))

    def larger(pets: Path) -> None:
        picture(pets / "dog" / "large.png", seed=1, size=(7, 7))

    def deep(pets: Path) -> None:
        Image.fromarray(np.zeros((5, 5), dtype=np.uint16)).save(pets / "cat" / "deep.png")

    return {
        "no folder": (no_folder, r"no folder .*pets; wanted .*/CLASS/\*\.png"),
        "one class": (one_class, r"pets has 1 class folders, at least 2 are needed"),
        "empty class": (empty_class, r"pets/emu holds no images"),
        "too few": (few, r"class of 'emu/0\.png' has 2 training examples; at least 3"),
        "no image": (text, r"cat/fake\.png is not an image that can be read"),
        "empty file": (nothing, r"cat/empty\.png is not an image that can be read"),
        "cut short": (truncated, r"dog/003\.png is damaged"),
        "not square": (oblong, r"cat/wide\.png is 7 x 5 pixels, not square; .*folder:PATH@SIZE"),
        "two sizes": (larger, r"dog/large\.png is 7 x 7 pixels, .* is 5 x 5; .*folder:PATH@SIZE"),
        "16 bits": (deep, r"cat/deep\.png has pixel format I;16, expected 8 bits a channel"),
    }


@pytest.mark.parametrize("case", broken_layouts())
def test_what_is_wrong_is_named(pets: Path, case: str) -> None:
    change, message = broken_layouts()[case]
    change(pets)

    with pytest.raises(InputDataError, match=message) as caught:
        load_images(f"folder:{pets}")
    assert "\n" not in str(caught.value)


def test_test_set_with_a_class_of_its_own(pets: Path, tmp_path: Path) -> None:
    root = tmp_path / "parted"
    shutil.copytree(pets, root / "train")
    picture(root / "test" / "emu" / "0.png", seed=1)

    with pytest.raises(InputDataError, match=r"test has classes that .*train lacks: emu"):
        load_images(f"folder:{root}")


def test_empty_test_set(pets: Path, tmp_path: Path) -> None:
    root = tmp_path / "parted"
    shutil.copytree(pets, root / "train")
    (root / "test").mkdir()

    with pytest.raises(InputDataError, match=r"parted/test has no class folders"):
        load_images(f"folder:{root}")


def test_more_than_fits_in_memory_is_refused_before_decoding(
    pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module, "_read_image", lambda *args: pytest.fail("decoded"))

    with pytest.raises(InputDataError, match=r"18 images of 9999 x 9999 x 3 take 5\.0 GiB, at most 4 GiB"):
        load_images(f"folder:{pets}@9999")


def test_size_zero(pets: Path) -> None:
    with pytest.raises(UsageError, match="the size must be at least 1 pixel"):
        load_images(f"folder:{pets}@0")


def test_home_folder_and_relative_paths(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(pets.parent))
    monkeypatch.chdir(pets.parent)

    assert load_images("folder:~/pets").split_digest == load_images("folder:pets").split_digest
