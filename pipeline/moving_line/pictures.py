"""Pictures of sequences: strips of frames side by side, and animations."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from pipeline.command_line.errors import RequestError
from pipeline.moving_line.lines import Uint8Array

MAX_SEQUENCES = 64  # More would make a picture that nobody can look at.
PICTURE_TYPES = (".png", ".svg", ".pdf", ".gif")

_COLORS = ListedColormap(["#12203a", "#ffd166"])
_GIF_FRAMES_PER_SECOND = 12
_INCHES_PER_FRAME = 1.3


def check_picture_path(path: str, types: Sequence[str] = PICTURE_TYPES, flag: str = "--output") -> str:
    """Return the path, given with a flag, if a picture can be written there.

    Raises:
        RequestError: for an unknown type or a directory that is not there.
    """
    if not path.endswith(tuple(types)):
        raise RequestError(f"{flag} {path}: a picture's name ends in {', '.join(types)}")
    directory, name = os.path.split(path)
    if not os.path.isdir(directory or "."):
        raise RequestError(f"{flag} {path}: no such directory {directory}; make it first")
    if os.path.isdir(path) or name in types:
        raise RequestError(f"{flag} {path}: name a file, as in line{types[0]}")
    return path


def check_num_sequences(count: int) -> None:
    """Refuse more sequences than a picture can show.

    Raises:
        RequestError: for more than `MAX_SEQUENCES`.
    """
    if count > MAX_SEQUENCES:
        raise RequestError(f"--num_sequences {count}: a picture shows at most {MAX_SEQUENCES}")


def draw_sequences(frames: Uint8Array, titles: Sequence[str], path: str, num_frames: int) -> None:
    """Draw sequences one below the other: as strips, or moving if the path ends in ``.gif``.

    Args:
        frames: uint8 of shape (n, T, S, S, 1), values 0 and 1.
        titles: one for every sequence.
        path: where the picture goes; see `check_picture_path`.
        num_frames: how many frames a strip shows, evenly spaced from first to last; at most T.
    """
    if path.endswith(".gif"):
        save_atomically(path, lambda temporary: _animate(frames, titles, temporary))
    else:
        save_atomically(path, lambda temporary: _draw_strips(frames, titles, temporary, num_frames))


def save_atomically(path: str, save: Callable[[str], None]) -> None:
    """Call ``save`` with a temporary path beside ``path`` (same suffix) and rename the result into place.

    Raises:
        OSError: if it cannot be written, or what ``save`` reads cannot be read, naming which.
    """
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{uuid.uuid4().hex}.{name}")
    try:
        save(temporary)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is None or error.filename not in (None, temporary):
            raise
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def _draw_strips(frames: Uint8Array, titles: Sequence[str], path: str, num_frames: int) -> None:
    timesteps = frames.shape[1]
    shown = np.linspace(0, timesteps - 1, min(num_frames, timesteps)).round().astype(int)
    rows, columns = len(frames), len(shown)
    figure = Figure(
        figsize=(_INCHES_PER_FRAME * columns, (_INCHES_PER_FRAME + 0.45) * rows), layout="constrained"
    )
    strips = figure.subfigures(rows, 1, squeeze=False)[:, 0]
    for strip, title, sequence in zip(strips, titles, frames, strict=True):
        strip.suptitle(title, fontsize=10, x=0.01, ha="left", weight="bold")
        for axes, timestep in zip(strip.subplots(1, columns, squeeze=False)[0], shown, strict=True):
            _show(axes, sequence[timestep])
            axes.set_xlabel(f"frame {timestep + 1}", fontsize=8)
    figure.savefig(path, dpi=120)


def _animate(frames: Uint8Array, titles: Sequence[str], path: str) -> None:
    count, timesteps = frames.shape[:2]
    columns = min(count, 4)
    rows = -(-count // columns)
    figure = Figure(figsize=(2.2 * columns, 2.5 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[count:]:
        axes.set_axis_off()
    images = []
    for axes, title, sequence in zip(grid, titles, frames, strict=False):
        images.append(_show(axes, sequence[0]))
        axes.set_title(title, fontsize=9)

    def update(timestep: int) -> list[AxesImage]:
        for image, sequence in zip(images, frames, strict=True):
            image.set_data(sequence[timestep, :, :, 0])
        return images

    # The last frame stands for a second before the line starts again.
    order = [*range(timesteps), *[timesteps - 1] * _GIF_FRAMES_PER_SECOND]
    animation = FuncAnimation(figure, update, frames=order, blit=False)
    animation.save(path, writer=PillowWriter(fps=_GIF_FRAMES_PER_SECOND), dpi=80)


def _show(axes: Axes, frame: Uint8Array) -> AxesImage:
    image = axes.imshow(frame[:, :, 0], cmap=_COLORS, vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    return image
