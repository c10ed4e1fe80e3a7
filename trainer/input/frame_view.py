"""Which frames of a clip a model is shown, and how they are changed: chosen before they are decoded."""

from __future__ import annotations

from dataclasses import dataclass, replace

import tensorflow as tf

from trainer.input.vocabulary import Vocabulary

WINDOW, SEGMENTS = "window", "segments"
SAMPLINGS = (WINDOW, SEGMENTS)

# Streams of random numbers of one example.
_CHOICE, _ROW, _COLUMN, _FLIP, _BRIGHTNESS, _CONTRAST = range(6)
_NUM_STREAMS = 6


@dataclass(frozen=True)
class FrameView:
    """What of a clip is shown.

    In training, everything random is a function of ``seed`` and the example's number in the run. In judging
    nothing is random: the window in the middle, or one of several that are spread over the clip.

    Attributes:
        num_frames: frames that are shown; shorter clips are padded at their end with black frames.
        sampling: "window" takes consecutive frames, every ``frame_step``-th; "segments" cuts the clip into
            ``num_frames`` equal parts and takes a frame of each.
        frame_step: distance of consecutive frames of a window.
        crop: (height, width) of the part of every frame that is shown; None shows all of it.
        is_random: whether window, frames of segments and crop are random, and what follows is done.
        seed: of all that is random.
        flip: whether half of the clips are mirrored left to right.
        brightness: largest share of white that is added or taken away.
        contrast: largest share by which contrast, about the mean of the frame, rises or falls.
        part, num_parts: which of several windows that are spread over the clip.
        place, num_places: which of several crops that are spread along the frame's longer side.
        is_single: show the middle one of the chosen frames all the time.
        has_names: whether names of clips and groups, captions, and lengths as stored, are read, too.
        vocabulary: read tokens of a caption instead of class labels; None reads labels.
        mean_tokens: of the training's captions, with the end; of the loss.
    """

    num_frames: int
    sampling: str = WINDOW
    frame_step: int = 1
    crop: tuple[int, int] | None = None
    is_random: bool = False
    seed: int = 0
    flip: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    part: int = 0
    num_parts: int = 1
    place: int = 0
    num_places: int = 1
    is_single: bool = False
    has_names: bool = False
    vocabulary: Vocabulary | None = None
    mean_tokens: float = 0.0

    def judged(self, view: int = 0, num_parts: int = 1, num_places: int = 1) -> FrameView:
        """One of ``num_parts * num_places`` views that are not random."""
        part, place = divmod(view, num_places)
        return replace(
            self, is_random=False, part=part, num_parts=num_parts, place=place, num_places=num_places
        )

    def shown_shape(self, frame_shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """Height, width and channels of what is shown of a frame."""
        return frame_shape if self.crop is None else (*self.crop, frame_shape[2])

    def choose(self, length: tf.Tensor, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Choose frames.

        Args:
            length: of the clip in frames, int32 (), at least 1.
            number: of the example, int64 ().

        Returns:
            Indices of the frames, int32 (num_frames,), and how many of them are real, int32 (). Those after
            the real ones repeat the last.
        """
        steps = tf.range(self.num_frames, dtype=tf.int32)
        if self.sampling == WINDOW:
            real = tf.minimum(self.num_frames, (length + self.frame_step - 1) // self.frame_step)
            choices = length - (real - 1) * self.frame_step
            if self.is_random:
                first = self._below(choices, _CHOICE, number)
            elif self.num_parts == 1:
                first = (choices - 1) // 2
            else:
                first = (choices - 1) * self.part // (self.num_parts - 1)
            indices = first + steps * self.frame_step
        else:
            real = tf.minimum(self.num_frames, length)
            starts, ends = steps * length // real, (steps + 1) * length // real
            if self.is_random:
                draws = self._uniform(self.num_frames, _CHOICE, number)
                within = tf.cast(draws * tf.cast(ends - starts, tf.float32), tf.int32)
            else:
                within = (ends - starts) * (2 * self.part + 1) // (2 * self.num_parts)
            indices = tf.minimum(starts + within, ends - 1)
        last = tf.gather(indices, real - 1)
        indices = tf.where(steps < real, indices, last)
        if self.is_single:
            indices = tf.fill([self.num_frames], tf.gather(indices, (real - 1) // 2))
        return indices, real

    def change(self, frames: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        """Crop, mirror, brighten and so on, all frames of a clip alike.

        Args:
            frames: uint8 (T, H, W, C).
            number: of the example, int64 ().

        Returns:
            uint8, of `shown_shape`.
        """
        if self.crop is not None:
            frames = self._cropped(frames, self.crop, number)
        if not self.is_random:
            return frames
        if self.flip:
            is_flipped = self._below(tf.constant(2), _FLIP, number) == 1
            frames = tf.where(is_flipped, tf.reverse(frames, [2]), frames)
        if self.brightness or self.contrast:
            values = tf.cast(frames, tf.float32)
            if self.contrast:
                factor = 1 + self.contrast * (2 * self._uniform(1, _CONTRAST, number)[0] - 1)
                mean = tf.reduce_mean(values, axis=[1, 2, 3], keepdims=True)
                values = mean + (values - mean) * factor
            if self.brightness:
                values += 255 * self.brightness * (2 * self._uniform(1, _BRIGHTNESS, number)[0] - 1)
            frames = tf.cast(tf.clip_by_value(tf.round(values), 0, 255), tf.uint8)
        return frames

    def choose_caption(self, captions: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        """One of a clip's captions: a random one, or the first.

        Args:
            captions: string (n,), at least one.
            number: of the example, int64 ().
        """
        if not self.is_random:
            return captions[0]
        # No other stream has a negative number.
        seeds = tf.stack([tf.constant(-1 - self.seed, tf.int64), number])
        count = tf.size(captions)
        chosen = tf.random.stateless_uniform([], seeds, minval=0, maxval=count, dtype=tf.int32, alg="philox")
        return captions[chosen]

    def _cropped(self, frames: tf.Tensor, size: tuple[int, int], number: tf.Tensor) -> tf.Tensor:
        rows, columns = frames.shape[1] - size[0], frames.shape[2] - size[1]
        if self.is_random:
            top = self._below(tf.constant(rows + 1), _ROW, number)
            left = self._below(tf.constant(columns + 1), _COLUMN, number)
        else:
            top, left = tf.constant(rows // 2), tf.constant(columns // 2)
            if self.num_places > 1 and columns >= rows:
                left = tf.constant(columns * self.place // (self.num_places - 1))
            elif self.num_places > 1:
                top = tf.constant(rows * self.place // (self.num_places - 1))
        return tf.slice(frames, tf.stack([0, top, left, 0]), [-1, *size, -1])

    def _seeds(self, stream: int, number: tf.Tensor) -> tf.Tensor:
        return tf.stack([tf.constant(self.seed * _NUM_STREAMS + stream, tf.int64), number])

    def _below(self, count: tf.Tensor, stream: int, number: tf.Tensor) -> tf.Tensor:
        """A random number below ``count``, int32 ()."""
        return tf.random.stateless_uniform(
            [], self._seeds(stream, number), minval=0, maxval=count, dtype=tf.int32, alg="philox"
        )

    def _uniform(self, count: int, stream: int, number: tf.Tensor) -> tf.Tensor:
        """Random numbers from 0 to below 1, float32 (count,)."""
        return tf.random.stateless_uniform([count], self._seeds(stream, number), alg="philox")
