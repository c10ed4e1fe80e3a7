"""Draws a contact sheet: for every class, the middle frames of some sequences, to find wrong labels."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from pipeline.command_line.errors import RequestError
from pipeline.dataset.features import ClassLabel
from pipeline.definition import Definition
from pipeline.pictures.files import save_atomically
from pipeline.pictures.text import plain_text

MAX_CLASSES = 64  # More would be too small to see.
MAX_PER_CLASS = 32
_TILE_INCHES = 1.0
_LINE_INCHES = 0.2
_MOST_COLUMNS = 4
_LETTERS = 20  # Below a tile.


@dataclass(frozen=True)
class Tile:
    """A sequence in a contact sheet.

    Attributes:
        frame: its middle frame, uint8 (H, W, C), C = 1 or 3.
        text: what is written below.
    """

    frame: npt.NDArray[np.uint8]
    text: str


def class_names(definition: Definition, first: int) -> list[str]:
    """Names of at most `MAX_CLASSES` classes, from class number ``first``.

    Raises:
        RequestError: if the examples have no classes, or not so many.
    """
    _, label = _target(definition)
    if first >= len(label.names):
        raise RequestError(f"--first_class {first}: there are {len(label.names)} classes, from number 0")
    return list(label.names[first : first + MAX_CLASSES])


def choose_tiles(
    definition: Definition, payloads: Iterable[bytes], names: Sequence[str], per_class: int
) -> dict[str, list[Tile]]:
    """The first sequences of every class, one of each source; not read further than needed.

    Args:
        definition: the definition of the data set.
        payloads: the records of a split, from its first.
        names: names of the classes.
        per_class: number of sequences of a class.

    Raises:
        RequestError: if the examples have no frames.
    """
    feature, label = _target(definition)
    tiles: dict[str, list[Tile]] = {name: [] for name in names}
    missing = len(names) * per_class
    seen = set()
    for number, payload in enumerate(payloads):
        if not missing:
            break
        example = definition.decode(payload)
        found = tiles.get(label.names[int(example[feature])])
        source = definition.source_name(example)
        if found is None or len(found) == per_class or source in seen:
            continue
        if source:
            seen.add(source)
        frames = definition.frames(example)
        found.append(Tile(frames[len(frames) // 2], f"{number} {_end(source, _LETTERS - len(str(number)))}"))
        missing -= 1
    return tiles


def _target(definition: Definition) -> tuple[str, ClassLabel]:
    for name, feature in definition.features.items():
        if isinstance(feature, ClassLabel):
            return name, feature
    raise RequestError(f"--contact_sheet: sequences of {definition.name} have no classes")


@plain_text()
def draw_contact_sheet(
    tiles: Mapping[str, Sequence[Tile]], title: str, path: str, palette: Sequence[str] | None = None
) -> None:
    """Draw a block for every class, its name above the tiles, in as many columns as make the picture square.

    Args:
        tiles: tiles by name of the class; of a class without any, this is said.
        title: written above.
        path: path of the picture; see `pipeline.pictures.files.check_picture_path`.
        palette: see `pipeline.pictures.sequences.draw_sequences`.

    Raises:
        OSError: if the picture cannot be written.
    """
    frames = [tile.frame for each in tiles.values() for tile in each]
    aspect = max((frame.shape[0] / frame.shape[1] for frame in frames), default=1.0)
    block = max(4, *map(len, tiles.values())) + 0.4, aspect + 2.2 * _LINE_INCHES
    columns = min(range(1, _MOST_COLUMNS + 1), key=lambda count: _skew(len(tiles), count, block))
    rows = -(-len(tiles) // columns)
    width, height = block[0] * columns, block[1] * rows + 2 * _LINE_INCHES
    figure = Figure(figsize=(width * _TILE_INCHES, height * _TILE_INCHES))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.text(0.1, 0.1, title, va="top", fontsize=10)
    colors, highest = ("gray", 255) if palette is None else (ListedColormap(palette), len(palette) - 1)
    for number, (name, row) in enumerate(tiles.items()):
        left, top = number // rows * block[0] + 0.1, number % rows * block[1] + 2.8 * _LINE_INCHES
        text = textwrap.shorten(name, int(11 * block[0]), placeholder="…") + ("" if row else ": none")
        axes.text(left, top - 0.03, text, va="bottom", fontsize=9, weight="bold")
        for place, tile in enumerate(row):
            x = left + place
            high, wide = tile.frame.shape[:2]
            axes.imshow(
                tile.frame[:, :, 0] if tile.frame.shape[2] == 1 else tile.frame,
                cmap=colors,
                vmin=0,
                vmax=highest,
                interpolation="nearest" if palette is not None else "auto",
                extent=(x, x + 0.96, top + 0.96 * high / wide, top),
            )
            axes.text(x, top + 0.97 * high / wide, tile.text, va="top", fontsize=5.5)
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="auto")
    axes.set_axis_off()
    save_atomically(path, lambda temporary: figure.savefig(temporary, dpi=120))


def _skew(count: int, columns: int, block: tuple[float, float]) -> float:
    """How far from square a picture of blocks in columns is."""
    return abs(float(np.log(block[0] * columns / (block[1] * -(-count // columns)))))


def _end(text: str, most: int) -> str:
    """The last letters of a text, which tell files apart."""
    return text if len(text) <= most else f"…{text[1 - most :]}"
