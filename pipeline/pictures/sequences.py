"""Draws sequences, as strips of frames side by side or as an animation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.image import AxesImage

from pipeline.command_line.errors import RequestError
from pipeline.pictures.files import save_atomically
from pipeline.pictures.text import plain_text, wrapped

# Frames of a sequence: uint8 (T, H, W, C) with C = 1 or 3.
Video = npt.NDArray[np.uint8]

MAX_SEQUENCES = 64  # More would be too small to see.
_GIF_FRAMES_PER_SECOND = 12
_INCHES_PER_FRAME = 1.3
_LINE_INCHES = 0.17  # Height of another line of a title.
_STRIP_FONT = FontProperties(size=10, weight="bold")
_ANIMATION_FONT = FontProperties(size=9)
_ANIMATION_INCHES, _ANIMATION_LINES = 2.2, 1  # Width of a video, and lines of its title that fit above it.
_MIN_COLUMNS = 3  # Titles of narrower strips would have a word a line.


def check_num_sequences(count: int) -> None:
    """Check the number of sequences in a picture.

    Raises:
        RequestError: if there are more than `MAX_SEQUENCES`.
    """
    if count > MAX_SEQUENCES:
        raise RequestError(f"--num_sequences {count}: a picture shows at most {MAX_SEQUENCES}")


@plain_text()
def draw_sequences(
    videos: Sequence[Video],
    titles: Sequence[str],
    path: str,
    num_frames: int,
    palette: Sequence[str] | None = None,
) -> None:
    """Draw sequences into a picture: as strips one below the other; animated if the path ends in ``.gif``.

    Args:
        videos: the frames of every sequence, uint8 (T, H, W, C), C = 1 or 3.
        titles: a title for every sequence.
        path: path of the picture; see `pipeline.pictures.files.check_picture_path`.
        num_frames: number of frames in a strip, evenly spaced from the first to the last.
        palette: colours of the values 0, 1, ... of pixels with one channel; None draws 0 to 255 in shades of
            gray.

    Raises:
        OSError: if the picture cannot be written.
    """
    if path.endswith(".gif"):
        save_atomically(path, lambda temporary: _animate(videos, titles, temporary, palette))
    else:
        save_atomically(path, lambda temporary: _draw_strips(videos, titles, temporary, num_frames, palette))


def _draw_strips(
    videos: Sequence[Video], titles: Sequence[str], path: str, num_frames: int, palette: Sequence[str] | None
) -> None:
    rows, columns = len(videos), max(_MIN_COLUMNS, min(num_frames, max(map(len, videos))))
    width = _INCHES_PER_FRAME * columns
    titles = [wrapped(title, 0.97 * width, _STRIP_FONT) for title in titles]
    heights = [
        _INCHES_PER_FRAME + 0.45 + _LINE_INCHES * title.count("\n")
        for _, title in zip(videos, titles, strict=True)
    ]
    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    strips = figure.subfigures(rows, 1, squeeze=False, height_ratios=heights)[:, 0]
    for strip, title, video in zip(strips, titles, videos, strict=True):
        shown = np.linspace(0, len(video) - 1, min(num_frames, len(video))).round().astype(int)
        strip.suptitle(title, fontproperties=_STRIP_FONT, x=0.01, ha="left")
        places = strip.subplots(1, columns, squeeze=False)[0]
        for axes in places[len(shown) :]:
            axes.set_axis_off()
        for axes, timestep in zip(places, shown, strict=False):
            _show(axes, video[timestep], palette)
            axes.set_xlabel(f"frame {timestep + 1}", fontsize=8)
    figure.savefig(path, dpi=120)


def _animate(
    videos: Sequence[Video], titles: Sequence[str], path: str, palette: Sequence[str] | None
) -> None:
    count, timesteps = len(videos), max(map(len, videos))
    columns = min(count, 4)
    rows = -(-count // columns)
    titles = [wrapped(title, 0.95 * _ANIMATION_INCHES, _ANIMATION_FONT) for title in titles]
    added = max(0, *(title.count("\n") + 1 - _ANIMATION_LINES for title in titles))
    height = (2.5 + _LINE_INCHES * added) * rows
    figure = Figure(figsize=(_ANIMATION_INCHES * columns, height), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[count:]:
        axes.set_axis_off()
    images = []
    for axes, title, video in zip(grid, titles, videos, strict=False):
        images.append(_show(axes, video[0], palette))
        axes.set_title(title, fontproperties=_ANIMATION_FONT)
        if added:
            axes.set_anchor("S")  # Centred, the space below it would be lost to the title.

    def update(timestep: int) -> list[AxesImage]:
        for image, video in zip(images, videos, strict=True):
            image.set_data(_pixels(video[min(timestep, len(video) - 1)]))
        return images

    # The last frame stays for a second before the animation repeats.
    order = [*range(timesteps), *[timesteps - 1] * _GIF_FRAMES_PER_SECOND]
    animation = FuncAnimation(figure, update, frames=order, blit=False)
    animation.save(path, writer=PillowWriter(fps=_GIF_FRAMES_PER_SECOND), dpi=80)


def _show(axes: Axes, frame: Video, palette: Sequence[str] | None) -> AxesImage:
    colors, highest = ("gray", 255) if palette is None else (ListedColormap(palette), len(palette) - 1)
    image = axes.imshow(_pixels(frame), cmap=colors, vmin=0, vmax=highest, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    return image


def _pixels(frame: Video) -> Video:
    """The frame (H, W, C) as Matplotlib accepts it: (H, W) if C = 1."""
    return frame[:, :, 0] if frame.shape[2] == 1 else frame
