"""Tiny clips, each with frames of its own, and folders of them."""

import hashlib
import io
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

WIDTH, HEIGHT, RATE = 64, 48, 24
SPLITS = ("train", "validation", "test")


def frames(seed: int, count: int) -> npt.NDArray[np.uint8]:
    """Frames of eight by six coloured fields that drift to the right, uint8 (count, 48, 64, 3)."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    large = small.repeat(8, axis=0).repeat(8, axis=1)
    return np.stack([np.roll(large, 2 * number, axis=1) for number in range(count)])


@cache
def clip(seed: int, num_frames: int = 12, codec: str = "mpeg4") -> bytes:
    """An MP4 of 24 frames a second, 64x48."""
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        video = container.add_stream(codec, rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.bit_rate = 200_000
        for image in frames(seed, num_frames):
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(video.encode())
    return stream.getvalue()


def still(seed: int, suffix: str = ".png") -> bytes:
    """A still image, 64x48."""
    stream = io.BytesIO()
    Image.fromarray(frames(seed, 1)[0]).save(stream, Image.registered_extensions()[suffix.lower()])
    return stream.getvalue()


def with_free_box(content: bytes, text: bytes = b"") -> bytes:
    """The same MP4 in another file: with a box behind it that decoders skip."""
    return content + struct.pack(">I", 8 + len(text)) + b"free" + text


def write(root: Path, contents: Mapping[str, bytes]) -> Path:
    """Write files below a folder; returns the folder."""
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def class_folders(classes: Sequence[str], per_class: int = 4, first_seed: int = 0) -> dict[str, bytes]:
    """Contents by path of clips in folders of classes."""
    names = [f"{label}/{number}.mp4" for label in classes for number in range(per_class)]
    return {name: clip(seed) for seed, name in enumerate(names, first_seed)}


def snapshot(*roots: Path) -> dict[str, tuple[str, int]]:
    """Every entry below folders, links and folders too: what it holds, and its mode."""
    found = {}
    for root in roots:
        for path in [root, *root.rglob("*")]:
            if path.is_symlink():
                held = f"-> {path.readlink()}"
            else:
                held = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            if path.is_symlink() or path.exists():
                found[str(path)] = held, path.lstat().st_mode
    return found


def data_files(directory: Path) -> dict[str, bytes]:
    """The files of a data set that depend on the request and the sources alone."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "manifest.json"}
