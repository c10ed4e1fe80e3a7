"""Predicts clips: of files, and of records of a data set."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice

from pipeline.clips.decoder_process import Decoder
from pipeline.clips.errors import BadClipError
from pipeline.command_line.errors import RequestError, WorkError, one_line
from pipeline.command_line.progress import Progress
from pipeline.dataset.reader import Dataset
from pipeline.pictures.sequences import draw_sequences
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.frame_view import SEGMENTS
from trainer.input.split_files import read_manifest
from trainer.prediction.clip_files import open_clip_files
from trainer.prediction.clip_records import RecordDecoder
from trainer.prediction.clip_run import ClipRun
from trainer.prediction.clip_windows import ClipWindows, Window
from trainer.prediction.media_paths import named_paths
from trainer.prediction.stored_clips import ClipFile
from trainer.prediction.window_answers import WindowAnswer

DEFAULT_BATCH_SIZE = 16
MAX_PICTURED = 5  # Clips of files in a picture.
_FRAMES_A_STRIP = 5


def predict_clip_files(
    run: ClipRun,
    inputs: Sequence[str],
    *,
    batch_size: int = DEFAULT_BATCH_SIZE,
    stride: int | None = None,
    skip_bad: bool = False,
    clip_timeout: int | None = None,
    show_progress: bool = False,
) -> Iterator[list[WindowAnswer]]:
    """Predict all clips of files while the result is iterated.

    Args:
        run: the run.
        inputs: paths and patterns; see `named_paths`.
        batch_size: largest number of windows in a batch.
        stride: frames from the start of a window to that of the next; None shows the window in the middle.
        skip_bad: name a file of video or an image that cannot be decoded on stderr and go on, instead of
            raising an error.
        clip_timeout: seconds that decoding a file may take; None: as for data sets.
        show_progress: show progress on stderr.

    Returns:
        Batches of answers, an answer per window. Iteration raises RequestError if a file is damaged, and
        WorkError if the device fails, answers are not finite, or all files are skipped.

    Raises:
        RequestError: if the request is wrong.
    """
    if stride is not None and run.view.sampling == SEGMENTS:
        raise RequestError(
            f"--stride {stride}: the model was trained on frames of whole clips (--sampling {SEGMENTS});"
            " leave it out"
        )
    decoder = Decoder()
    files = _opened(run, inputs, decoder, clip_timeout)
    windows = ClipWindows(run.view, run.form.fps, stride)

    def answers() -> Iterator[list[WindowAnswer]]:
        with decoder:
            read = _windows(files, windows, skip_bad=skip_bad, show_progress=show_progress)
            yield from run.answers(read, batch_size)

    return answers()


def draw_clip_files(
    run: ClipRun,
    inputs: Sequence[str],
    output: str,
    *,
    skip_bad: bool = False,
    clip_timeout: int | None = None,
) -> list[str]:
    """Predict the windows in the middle of at most `MAX_PICTURED` clips of files, and draw them.

    Args:
        run, inputs, skip_bad, clip_timeout: see `predict_clip_files`.
        output: path of the picture.

    Returns:
        A line a clip.

    Raises:
        RequestError: if the request is wrong, or a file is damaged.
        WorkError: see `predict_clip_files`.
    """
    with Decoder() as decoder:
        files = _opened(run, inputs, decoder, clip_timeout)
        windows = ClipWindows(run.view, run.form.fps)
        shown = list(islice(_windows(files, windows, skip_bad=skip_bad), MAX_PICTURED + 1))
    if len(shown) > MAX_PICTURED:
        raise RequestError(f"--output {output}: a picture shows at most {MAX_PICTURED} clips of files")
    lines = _verdicts(run, shown)
    titles = [f"{_name(window.file)}: {line}" for window, line in zip(shown, lines, strict=True)]
    _draw(run, shown, titles, output)
    return titles


def predict_clip_records(
    run: ClipRun, data_dir: str, split: str, first: int, num_sequences: int, output: str | None
) -> list[str]:
    """Predict the windows in the middle of records ``first`` .. ``first + num_sequences - 1`` of a split.

    Args:
        run: the run.
        data_dir: directory of a data set; see `WindowAnswers.check_records`.
        split: name of the split.
        first: number of the first record.
        num_sequences: number of records.
        output: path of a picture of the windows; None draws none.

    Returns:
        A line a record.

    Raises:
        RequestError: if the request is wrong.
        WorkError: if the data is damaged, the device fails, or answers are not finite.
    """
    manifest = read_manifest(data_dir)
    decoder = RecordDecoder(manifest, data_dir, run.how.check_records)
    DatasetSpec.of(manifest).check_split(split)
    windows = ClipWindows(run.view, run.form.fps)

    def shown() -> Iterator[Window]:
        payloads = Dataset(data_dir, manifest).read(split, first, num_sequences)
        for number, payload in enumerate(payloads, first):
            where = f"{data_dir}: sequence {number} of split {split}"
            try:
                clip = decoder.clip(payload, data_dir, number, where)
            except ValueError as error:
                raise WorkError(f"{where}: {one_line(error)}") from error
            yield from windows.of(clip)

    if output is None:
        return _verdicts(run, shown())
    kept = list(shown())
    lines = _verdicts(run, kept)
    _draw(run, kept, lines, output)
    return lines


def _opened(run: ClipRun, inputs: Sequence[str], decoder: Decoder, timeout: int | None) -> list[ClipFile]:
    form = run.form
    if timeout is not None and form.preparation is not None:
        form = replace(form, preparation=replace(form.preparation, timeout=float(timeout)))
    # A model of single images is asked about images, as it was trained on them.
    paths = named_paths(inputs, by_image=run.view.num_frames == 1)
    return open_clip_files(paths, form, run.how.check_records, decoder)


def _windows(
    files: Sequence[ClipFile], windows: ClipWindows, *, skip_bad: bool = False, show_progress: bool = False
) -> Iterator[Window]:
    """The windows of all files, in order."""
    skipped = 0
    with Progress("predicting", len(files), "files") if show_progress else nullcontext() as progress:
        for number, file in enumerate(files):
            try:
                for clip in file.clips():
                    yield from windows.of(clip)
            except BadClipError as error:
                if not skip_bad:
                    raise RequestError(f"{file.path}: {error}; --on_bad_clip skip goes on") from error
                print(f"skipped {file.path}: {error}", file=sys.stderr, flush=True)
                skipped += 1
            if progress is not None:
                progress.set(number + 1)
    if skipped == len(files):
        raise WorkError(f"none of the files could be decoded: {skipped} skipped")
    if skipped:
        print(f"skipped {skipped} of {len(files)} files", file=sys.stderr, flush=True)


def _verdicts(run: ClipRun, windows: Iterator[Window] | Sequence[Window]) -> list[str]:
    return [answer.verdict() for batch in run.answers(windows, DEFAULT_BATCH_SIZE) for answer in batch]


def _name(path: str) -> str:
    """The last name of a path, as text also where it is none."""
    return os.fsencode(os.path.basename(path.rstrip("/"))).decode(errors="replace")


def _draw(run: ClipRun, windows: Sequence[Window], titles: Sequence[str], output: str) -> None:
    videos = [window.frames[: window.length] for window in windows]
    draw_sequences(videos, titles, output, _FRAMES_A_STRIP, run.form.palette)
