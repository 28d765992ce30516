import gzip
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from labkit.core.errors import DataError
from labkit.data import fashion_mnist as fm
from tests.data.test_idx import encode


@pytest.fixture(autouse=True)
def _nothing_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let neither the user's cache nor the environment decide; the system's folder stays."""
    monkeypatch.delenv("LABKIT_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield
    fm._load.cache_clear()


@pytest.fixture(scope="module")
def system() -> Path:
    """The IDX files that the system has; without them the comparison is skipped, loudly."""
    if not fm._has_set(fm.SYSTEM_FOLDER):
        warnings.warn(f"{fm.SYSTEM_FOLDER} is missing: the shipped sheets were NOT compared with the published files", stacklevel=1)
        pytest.skip("the system has no Fashion-MNIST (Debian: apt install dataset-fashion-mnist)")
    return fm.SYSTEM_FOLDER


def write_set(folder: Path, train: tuple[np.ndarray, np.ndarray], *, packed: bool = False) -> Path:
    """Write the four files of a set whose test images are the shipped ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, (pixels, labels) in (("train", train), ("test", fm.read_sheets("test", 10_000))):
        for name, values in zip(fm.FILES[split][:2], (pixels, labels), strict=True):
            content = encode(values)
            (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(content, 1) if packed else content)
    return folder


@pytest.fixture(scope="module")
def full() -> tuple[np.ndarray, np.ndarray]:
    """60,000 images that begin with the shipped ones, the rest made up and each different from all others."""
    pixels, labels = fm.read_sheets("train", fm.SHIPPED)
    more = np.random.default_rng(0).integers(0, 256, (40_000, 28, 28), dtype=np.uint8)
    return np.concatenate([pixels, more]), np.concatenate([labels, np.arange(40_000, dtype=np.uint8) % 10])


def hashes(images: torch.Tensor) -> set[bytes]:
    return {image.tobytes() for image in images.numpy()}


def test_the_shipped_set_has_its_parts_and_nothing_held_out_is_trained_on() -> None:
    splits = fm.load()
    assert [len(part) for part in (splits.train, splits.held_out, splits.test)] == [16_000, 4_000, 10_000]
    assert torch.bincount(splits.test.labels).tolist() == [1000] * 10
    assert not hashes(splits.held_out.pixels) & hashes(splits.train.pixels)
    assert not hashes(splits.held_out.pixels) & hashes(splits.test.pixels)
    assert not hashes(splits.train.pixels) & hashes(splits.test.pixels)


def test_the_full_set_keeps_the_same_images_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: tuple[np.ndarray, np.ndarray]
) -> None:
    monkeypatch.setenv("LABKIT_DATA", str(write_set(tmp_path / "FashionMNIST" / "raw", full).parents[1]))
    splits, shipped = fm.load(full=True), fm.load()
    assert len(splits.train) == 56_000
    assert splits.held_out.pixels.equal(shipped.held_out.pixels)
    assert splits.test.pixels.equal(shipped.test.pixels)
    assert not hashes(splits.held_out.pixels) & hashes(splits.train.pixels)
    keep = np.r_[0:16_000, 20_000:60_000]
    assert np.array_equal(splits.train.pixels[:, 0].numpy(), full[0][keep])
    assert np.array_equal(splits.train.labels.numpy(), full[1][keep])
    assert str(tmp_path) in splits.origin


def test_the_sheets_are_the_published_images(system: Path) -> None:
    for split, count in fm.COUNTS.items():
        pixels, labels = fm.read_split(system, split)
        shipped = fm.read_sheets(split, count)
        assert np.array_equal(shipped[0], pixels[:count])
        assert np.array_equal(shipped[1], labels[:count])


def test_the_systems_full_set_keeps_the_held_out_images_out(system: Path) -> None:
    splits = fm.load(full=True)
    assert str(system) in splits.origin
    assert len(splits.train) == 56_000
    assert not hashes(splits.held_out.pixels) & hashes(splits.train.pixels)
    pixels, _ = fm.read_split(system, "train")
    assert pytest.approx(pixels.mean() / 255, abs=5e-5) == fm.MEAN
    assert pytest.approx(pixels.std() / 255, abs=5e-5) == fm.STD


def test_another_set_of_the_same_names_and_shapes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: tuple[np.ndarray, np.ndarray]
) -> None:
    pixels, labels = full[0][::-1], full[1][::-1]  # as MNIST's own files would
    monkeypatch.setenv("LABKIT_DATA", str(write_set(tmp_path, (pixels, labels))))
    with pytest.raises(DataError, match="must hold Fashion-MNIST in its published order"):
        fm.load(full=True)


def test_one_wrong_label_among_the_shipped_is_noticed(tmp_path: Path, full: tuple[np.ndarray, np.ndarray]) -> None:
    labels = full[1].copy()
    labels[19_999] ^= 1
    with pytest.raises(DataError, match="published order"):
        fm.read_full(write_set(tmp_path, (full[0], labels)))


def test_a_label_out_of_range_is_refused(tmp_path: Path, full: tuple[np.ndarray, np.ndarray]) -> None:
    labels = full[1].copy()
    labels[-1] = 10
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte must hold labels below 10, got 10"):
        fm.read_full(write_set(tmp_path, (full[0], labels)))


class TestFinding:
    @pytest.mark.parametrize("below", [".", "FashionMNIST/raw"])
    @pytest.mark.parametrize("end", ["", ".gz"])
    def test_labkit_data_names_the_files_or_a_torchvision_root(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str, end: str
    ) -> None:
        self._touch(tmp_path / "data" / below, end)
        monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "data"))
        assert fm.find_full() == tmp_path / "data" / below

    def test_a_wrong_labkit_data_is_an_error_even_if_the_set_lies_elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._touch(fm.user_folder())
        for wrong in (tmp_path / "nowhere", tmp_path, "/dev/null", "x" * 5000):
            monkeypatch.setenv("LABKIT_DATA", str(wrong))
            with pytest.raises(DataError, match=r"LABKIT_DATA is .* but neither it nor"):
                fm.load(full=True)

    def test_three_of_the_four_files_are_no_set(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._touch(tmp_path)
        (tmp_path / "t10k-labels-idx1-ubyte").unlink()
        monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
        with pytest.raises(DataError, match="LABKIT_DATA"):
            fm.find_full()

    def test_a_fetched_set_comes_before_the_systems(self) -> None:
        self._touch(fm.user_folder())
        assert fm.find_full() == fm.user_folder()

    def test_without_any_the_shipped_set_loads_and_the_full_one_says_what_to_do(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fm, "SYSTEM_FOLDER", tmp_path / "none")
        assert fm.find_full() is None
        with pytest.raises(DataError, match=r"not found: run `labkit data fetch fashion-mnist`, or set LABKIT_DATA"):
            fm.load(full=True)

    def test_a_relative_cache_folder_is_not_believed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", "here")  # the XDG specification says so
        assert fm.user_folder().is_absolute()

    @staticmethod
    def _touch(folder: Path, end: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for images, labels, _ in fm.FILES.values():
            for name in (images, labels):
                (folder / (name + end)).touch()


class TestSheets:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """200 images and labels on small sheets."""
        pixels = np.random.default_rng(1).integers(0, 256, (200, 28, 28), dtype=np.uint8)
        Image.fromarray(fm.stack(pixels)).save(tmp_path / "t-0.png")
        Image.fromarray((np.arange(200, dtype=np.uint8) % 10).reshape(2, 100)).save(tmp_path / "t-labels.png")
        return tmp_path

    def test_stacking_by_hand(self) -> None:
        pixels = np.arange(200, dtype=np.uint8)[:, None, None].repeat(28, 1).repeat(28, 2)
        sheet = fm.stack(pixels)
        assert sheet.shape == (56, 2800) == fm.sheet_shape(200)
        assert (sheet[0, 27], sheet[0, 28], sheet[27, 2799], sheet[28, 0]) == (0, 1, 99, 100)
        assert np.array_equal(fm.unstack(sheet), pixels)

    def test_what_lies_on_sheets_is_read(self, folder: Path) -> None:
        pixels, labels = fm.read_sheets("t", 200, folder)
        assert pixels.shape == (200, 28, 28)
        assert labels.tolist() == [n % 10 for n in range(200)]

    def test_the_package_writes_its_own_sheets_from_idx_files(
        self, tmp_path: Path, full: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = write_set(tmp_path / "idx", full)
        monkeypatch.setattr(fm, "COUNTS", {"train": 300, "test": 100})
        monkeypatch.setattr(fm, "SHEET_IMAGES", 200)
        fm.write_sheets(source, tmp_path / "out")
        assert sorted(os.listdir(tmp_path / "out")) == ["test-0.png", "test-labels.png", "train-0.png", "train-1.png", "train-labels.png"]
        pixels, labels = fm.read_sheets("train", 300, tmp_path / "out")
        assert np.array_equal(pixels, full[0][:300])
        assert np.array_equal(labels, full[1][:300])

    @pytest.mark.parametrize("name", ["t-0.png", "t-labels.png"])
    def test_a_missing_or_cut_sheet_is_named(self, folder: Path, name: str) -> None:
        content = (folder / name).read_bytes()
        for kept in (len(content) // 2, 30, 8, 0):
            (folder / name).write_bytes(content[:kept])
            with pytest.raises(DataError, match=rf"{name} is missing or damaged .*: install labkit again"):
                fm.read_sheets("t", 200, folder)
        (folder / name).unlink()
        with pytest.raises(DataError, match=name):
            fm.read_sheets("t", 200, folder)

    @pytest.mark.parametrize(
        "picture", [Image.new("RGB", (2800, 56)), Image.new("L", (2800, 28)), Image.new("1", (2800, 56)), Image.new("I;16", (2800, 56))]
    )
    def test_another_picture_is_refused(self, folder: Path, picture: Image.Image) -> None:
        picture.save(folder / "t-0.png")
        with pytest.raises(DataError, match=r"t-0\.png must be a grey picture of 56 × 2800 pixels, got"):
            fm.read_sheets("t", 200, folder)

    def test_a_huge_picture_is_refused_before_it_is_decoded(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        Image.new("L", (9_000, 9_000)).save(folder / "t-0.png")
        monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("decoded"))
        with pytest.raises(DataError, match="got 9000 × 9000"):
            fm.read_sheets("t", 200, folder)

    def test_a_label_that_names_no_class_is_refused(self, folder: Path) -> None:
        Image.fromarray(np.full((2, 100), 10, np.uint8)).save(folder / "t-labels.png")
        with pytest.raises(DataError, match=r"t-labels\.png must hold labels below 10, got 10"):
            fm.read_sheets("t", 200, folder)

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
    @given(position=st.integers(0, 10**6), bit=st.integers(0, 7))
    def test_a_flipped_bit_never_escapes_as_another_error(self, folder: Path, position: int, bit: int) -> None:
        content = bytearray((folder / "t-labels.png").read_bytes())
        content[position % len(content)] ^= 1 << bit
        other = folder / "other"
        other.mkdir(exist_ok=True)
        shutil.copy(folder / "t-0.png", other)
        (other / "t-labels.png").write_bytes(content)
        try:
            fm.read_sheets("t", 200, other)
        except DataError as error:
            assert "install labkit again" in str(error)  # noqa: PT017 # most flips are refused, some are pixels

    def test_damage_that_decodes_is_caught_by_the_checksum(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        sheets = shutil.copytree(fm.SHEETS, tmp_path / "sheets")
        with Image.open(sheets / "test-labels.png") as picture:
            labels = np.array(picture)
        labels[3, 3] = (labels[3, 3] + 1) % 10
        Image.fromarray(labels).save(sheets / "test-labels.png")
        read = fm.read_sheets
        monkeypatch.setattr(fm, "read_sheets", lambda split, count: read(split, count, sheets))
        with pytest.raises(DataError, match=r"the sheets of test .* are damaged: install labkit again"):
            fm._shipped("test")
        assert len(fm._shipped("train")[1]) == 20_000


def test_the_set_is_read_once_however_it_is_asked_for() -> None:
    assert fm.load() is fm.load(False) is fm.load(full=False)
