"""Fashion-MNIST: 28×28 grey pictures of clothes in ten classes.

The package carries the first 20,000 training and all 10,000 test images as PNG sheets, so that every lab runs without a
download. The full 60,000 are used where they are found. The last 4,000 of the 20,000 are held out: nothing is trained
on them, whichever set is used.

Source  Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747; MIT licence, notice in sheets/LICENSE.
"""

import os
import struct
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from labkit.core.errors import DataError
from labkit.data._idx import read_idx
from labkit.data.images import Images, Splits

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
SHIPPED, HELD_OUT, SIDE = 20_000, 4_000, 28
MEAN, STD = 0.2860, 0.3530  # of the 60,000 training images
FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", 60_000),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", 10_000),
}
SHEETS = Path(__file__).parent / "sheets"
SHEET_COLUMNS, SHEET_IMAGES = 100, 5_000
COUNTS = {"train": SHIPPED, "test": 10_000}  # images on the sheets
CHECKSUMS = {"train": 0xDB431013, "test": 0xD12E98E2}  # of them, see `checksum`

SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # of Debian's package dataset-fashion-mnist


def user_folder() -> Path:
    """Return where `labkit data fetch` puts the set: a torchvision root's raw folder in the user's cache."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    cache = Path(named if os.path.isabs(named) else os.path.expanduser("~/.cache"))
    return cache / "labkit" / "data" / "FashionMNIST" / "raw"


def find_full() -> Path | None:
    """Return the folder with the four IDX files: LABKIT_DATA (itself or a torchvision root), fetched, or the system's.

    Raises:
        DataError: LABKIT_DATA is set and has no such files: a wrong setting must not pass in silence.
    """
    named = os.environ.get("LABKIT_DATA")
    if named:
        root = Path(os.path.expanduser(named))
        for folder in (root, root / "FashionMNIST" / "raw"):
            if _has_set(folder):
                return folder
        raise DataError(f"LABKIT_DATA is {named!r}, but neither it nor FashionMNIST/raw below it holds the four IDX files of Fashion-MNIST")
    return next((folder for folder in (user_folder(), SYSTEM_FOLDER) if _has_set(folder)), None)


def load(full: bool = False) -> Splits:
    """Load the set.

    Args:
        full: train on the 60,000 less the held-out images, which must be found; else on the 16,000 that are shipped.

    Raises:
        DataError: a file is missing or damaged.
    """
    folder = find_full() if full else None
    if full and folder is None:
        raise DataError(
            "the full Fashion-MNIST was not found: run `labkit data fetch fashion-mnist`, or set LABKIT_DATA to a folder with its IDX files"
        )
    return _load(folder)


@lru_cache(maxsize=2)
def _load(folder: Path | None) -> Splits:
    pixels, labels = _shipped("train")
    test = _images(*_shipped("test"))
    cut = SHIPPED - HELD_OUT
    held_out = _images(pixels[cut:], labels[cut:])
    if folder is None:
        origin, keep = "shipped with labkit: 16,000 to train on", np.arange(cut)
    else:
        pixels, labels = read_full(folder)
        origin, keep = f"{folder}: 56,000 to train on", np.r_[0:cut, SHIPPED : len(labels)]
    return Splits("fashion-mnist", CLASSES, _images(pixels[keep], labels[keep]), held_out, test, origin)


def _shipped(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Read a split of the package's own sheets, and make sure that they are undamaged."""
    pixels, labels = read_sheets(split, COUNTS[split])
    if checksum(pixels, labels) != CHECKSUMS[split]:
        raise DataError(f"the sheets of {split} in {SHEETS} are damaged: install labkit again")
    return pixels, labels


def checksum(pixels: np.ndarray, labels: np.ndarray) -> int:
    """Return the CRC-32 of the pixels followed by the labels."""
    return zlib.crc32(np.ascontiguousarray(labels).data, zlib.crc32(np.ascontiguousarray(pixels).data))


def read_full(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the 60,000 training images from IDX files: pixels uint8 (n, 28, 28), labels uint8 (n,).

    Raises:
        DataError: they do not begin with the 20,000 that are shipped. MNIST's own files have the same names and shapes, and
            held-out images are told apart by their place.
    """
    pixels, labels = read_split(folder, "train")
    if checksum(pixels[:SHIPPED], labels[:SHIPPED]) != CHECKSUMS["train"]:
        raise DataError(f"{folder} must hold Fashion-MNIST in its published order, got another set: fetch it, or set LABKIT_DATA right")
    return pixels, labels


def read_split(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Read "train" or "test" from IDX files: pixels uint8 (n, 28, 28), labels uint8 (n,)."""
    images, labels, count = FILES[split]
    y = read_idx(_file(folder, labels), (count,))
    if y.max() >= len(CLASSES):
        raise DataError(f"{folder / labels} must hold labels below {len(CLASSES)}, got {y.max()}")
    return read_idx(_file(folder, images), (count, SIDE, SIDE)), y


def read_sheets(split: str, count: int, folder: Path = SHEETS) -> tuple[np.ndarray, np.ndarray]:
    """Read the sheets of a split in `folder`: pixels uint8 (count, 28, 28), labels uint8 (count,); count is a multiple of 100.

    Raises:
        DataError: a sheet is missing or damaged, or is not of the size that `count` images need.
    """
    firsts = range(0, count, SHEET_IMAGES)
    sheets = [_read_png(folder / f"{split}-{first // SHEET_IMAGES}.png", sheet_shape(min(SHEET_IMAGES, count - first))) for first in firsts]
    labels = _read_png(folder / f"{split}-labels.png", (count // SHEET_COLUMNS, SHEET_COLUMNS)).reshape(-1)
    if labels.max() >= len(CLASSES):
        raise DataError(f"{folder / f'{split}-labels.png'} must hold labels below {len(CLASSES)}, got {labels.max()}: install labkit again")
    return np.concatenate([unstack(sheet) for sheet in sheets]), labels


def sheet_shape(images: int) -> tuple[int, int]:
    """Return height and width, in pixels, of a sheet of so many images."""
    return images // SHEET_COLUMNS * SIDE, SHEET_COLUMNS * SIDE


def stack(pixels: np.ndarray) -> np.ndarray:
    """Lay images (n, 28, 28) out on one sheet (rows·28, columns·28), row by row."""
    rows = len(pixels) // SHEET_COLUMNS
    return pixels.reshape(rows, SHEET_COLUMNS, SIDE, SIDE).swapaxes(1, 2).reshape(rows * SIDE, SHEET_COLUMNS * SIDE)


def unstack(sheet: np.ndarray) -> np.ndarray:
    """Cut a sheet (rows·28, columns·28) into images (n, 28, 28): the inverse of `stack`."""
    return sheet.reshape(-1, SIDE, SHEET_COLUMNS, SIDE).swapaxes(1, 2).reshape(-1, SIDE, SIDE)


def write_sheets(folder: Path, out: Path) -> None:
    """Write the shipped sheets from the IDX files in `folder`: how the package's own copy was made."""
    out.mkdir(parents=True, exist_ok=True)
    for split, count in COUNTS.items():
        pixels, labels = read_split(folder, split)
        for first in range(0, count, SHEET_IMAGES):
            Image.fromarray(stack(pixels[first : min(first + SHEET_IMAGES, count)])).save(
                out / f"{split}-{first // SHEET_IMAGES}.png", optimize=True
            )
        Image.fromarray(labels[:count].reshape(-1, SHEET_COLUMNS)).save(out / f"{split}-labels.png", optimize=True)


def _images(pixels: np.ndarray, labels: np.ndarray) -> Images:
    return Images(torch.tensor(pixels).unsqueeze(1), torch.tensor(labels, dtype=torch.int64), MEAN, STD)


def _has_set(folder: Path) -> bool:
    return all(os.path.isfile(_file(folder, name)) for images, labels, _ in FILES.values() for name in (images, labels))


def _file(folder: Path, name: str) -> Path:
    """Return the file called `name`, gzipped if only that is there."""
    plain, packed = folder / name, folder / f"{name}.gz"
    return packed if os.path.isfile(packed) and not os.path.isfile(plain) else plain


def _read_png(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Read a grey picture of 8 bits and of that height and width, which are looked at before it is decoded."""
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            if picture.mode != "L" or picture.size != shape[::-1]:
                got = f"{picture.height} × {picture.width} in mode {picture.mode}"
                raise DataError(f"{path} must be a grey picture of {shape[0]} × {shape[1]} pixels, got {got}: install labkit again")
            return np.asarray(picture)
    except (OSError, EOFError, SyntaxError, ValueError, struct.error, zlib.error, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is missing or damaged ({error}): install labkit again") from error
