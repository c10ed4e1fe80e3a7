"""The classifier of lines that are known by their paths: it computes what changes from frame to frame.

A frame of a line differs from the one before by one pixel, which at most two pooled windows below one
another, in at most two columns of windows, look at. So what the frames' features, times the LSTM's input
kernel, add up to at time t is that of the empty frame and what every pixel drawn until then has changed:

1. A window looks at 3 x 3 pixels, and a line has one pixel in each column: a window has 4**3 states, for in
   each of its three columns the pixel is in one of three rows or not there. The classifier's own layers say
   what the features of all 64 are.
2. A pixel that is drawn brings a window from one state to another. The difference of their features, times
   the input kernel, is its contribution.
3. Contributions are added up over time: all so far of a line, the newest of a dot.

Outputs and gradients are those of the classifier of drawn frames, but for rounding. Everything that depends
on paths alone is made of whole numbers, comparisons and one-hot vectors, which have no gradient. The numbers
are float32, for TensorFlow computes with integers on the host where it runs on a GPU. The batch is an axis by
itself, or the outer part of one: a batch that is dealt to several devices stays dealt.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from model.observation import Observation, first_of_window
from model.polyphase import PolyphaseConv2D, PolyphaseFlatten, PolyphaseMaxPool2D
from model.recurrent import ProjectedLSTM
from pipeline.moving_line.lines import RIGHT

_COLUMNS = 3  # Of pixels that a window looks at; as many rows.
_PLACES = _COLUMNS + 1  # Of the pixel of a window's column: a row of the window, or nowhere in it.
_NOWHERE = _COLUMNS
_STATES = _PLACES**_COLUMNS
_ENCODER = (PolyphaseConv2D, PolyphaseMaxPool2D, PolyphaseFlatten, ProjectedLSTM)
_EMPTY = _STATES - 1  # The state of a window that sees nothing.


class LineClassifier(keras.layers.Layer):
    """What a classifier of frames gives for the frames of paths, without drawing them.

    Call arguments:
        path: integers (batch, S).
        label: integers (batch,), 0 = left, 1 = right.
        number: uint32 (batch,), which example it is; needed for a window only.

    Returns:
        What the classifier gives, (batch, 1), or (batch, timesteps, 1) after every frame: probabilities, or
        logits.
    """

    def __init__(self, classifier: keras.Model, observation: Observation, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        # The layers and not the model, which has metrics of its own; their variables are this layer's.
        _, *found = classifier.layers
        *self.features_of, self.lstm = found[: len(_ENCODER)]
        self.head = found[len(_ENCODER) :]
        self.observation = observation

    @staticmethod
    def takes(classifier: keras.Model, observation: Observation) -> bool:
        """Whether it can stand for the classifier behind drawn frames.

        It can for the folded architecture without cuDNN's LSTM, which goes from features to states in one,
        and without noise, which leaves no two frames alike.
        """
        _, *found = classifier.layers
        return (
            tuple(map(type, found[: len(_ENCODER)])) == _ENCODER
            and bool(found[len(_ENCODER) - 1].supports_jit)
            and not observation.noise
            and not observation.flips
        )

    def call(self, path: Any, label: Any, number: Any = None) -> Any:
        """Add up what the pixels change, then go through time."""
        size = path.shape[1]
        rows, times = _drawn_columns(path, label)
        features = _every_state()
        for layer in self.features_of:
            features = layer(features)
        # Half precision multiplies rounded numbers and adds up the products as float32: so do these.
        features = ops.cast(features[0], "float32")
        kernel, bias = (
            ops.cast(ops.cast(weight, self.lstm.compute_dtype), "float32")
            for weight in (self.lstm.cell.kernel, self.lstm.cell.bias)
        )
        projected = self._changes(rows, times, features, kernel)
        empty = ops.tile(features[_EMPTY:], (1, kernel.shape[0] // features.shape[1]))
        is_seen = self._is_seen(times, size, number)
        answers = ops.matmul(is_seen, projected) + (ops.matmul(empty, kernel) + bias)
        answers = self.lstm.recur(ops.cast(answers, self.lstm.compute_dtype))
        for layer in self.head:
            answers = layer(answers)
        return answers

    def _changes(self, rows: Any, times: Any, features: Any, kernel: Any) -> Any:
        """What the pixels change of the LSTM's projected inputs.

        Args:
            rows: (P, batch, 3), the row of the pixel in every window's columns.
            times: (P, batch, 3), when it is drawn.
            features: (64, filters), of every state.
            kernel: (P * P * filters, 4 * units), the LSTM's for inputs.

        Returns:
            (batch, P * 3, 4 * units): every pixel's contribution by its columns of windows, so that a pixel
            in two of them has two.
        """
        windows, filters, outputs = rows.shape[0], features.shape[1], kernel.shape[1]
        # Rows of windows that see the pixel: that which begins with its row or the one before; and, of an
        # even row, the one before, which ends with it. Those outside of the frame vanish as one-hot vectors.
        last = ops.floor(rows / 2)
        window = ops.stack([last, ops.where(ops.equal(rows, 2 * last), last - 1, -1.0)], axis=-1)
        before, after = self._states(rows, times, window)
        steps = _one_hot(after, _STATES) - _one_hot(before, _STATES)
        changes = ops.tensordot(steps, features, axes=1)[..., None]
        where = _one_hot(window, windows)[..., None, :]
        changes = where[:, :, :, 0] * changes[:, :, :, 0] + where[:, :, :, 1] * changes[:, :, :, 1]
        changes = ops.reshape(changes, (windows, -1, filters * windows))
        # From (row, column, filter) to a matrix for every column of windows.
        by_column = ops.transpose(ops.reshape(kernel, (windows, windows, filters, outputs)), (1, 2, 0, 3))
        projected = ops.matmul(changes, ops.reshape(by_column, (windows, filters * windows, outputs)))
        projected = ops.transpose(ops.reshape(projected, (windows, -1, _COLUMNS, outputs)), (1, 0, 2, 3))
        return ops.reshape(projected, (-1, windows * _COLUMNS, outputs))

    def _states(self, rows: Any, times: Any, window: Any) -> tuple[Any, Any]:
        """The states of windows before and after a pixel of theirs is drawn.

        Args:
            rows: (P, batch, 3).
            times: (P, batch, 3).
            window: (P, batch, 3, 2), the row of windows, by the pixel that is drawn.

        Returns:
            (P, batch, 3, 2), from 0 to 63.
        """
        # By (..., its column that is drawn, row of windows, its column that is looked at).
        place = rows[:, :, None, None, :] - 2 * window[..., None]
        inside = ops.logical_and(place >= 0, place < _COLUMNS)
        time, newest = times[:, :, None, None, :], times[:, :, :, None, None]
        stays = self.observation.line == "line"
        was_there = ops.logical_and(ops.less(time, newest), stays)
        is_there = ops.logical_or(was_there, ops.equal(time, newest))

        def state(shown: Any) -> Any:
            places = ops.where(ops.logical_and(inside, shown), place, float(_NOWHERE))
            return sum(places[..., column] * _PLACES**column for column in range(_COLUMNS))

        return state(was_there), state(is_there)

    def _is_seen(self, times: Any, size: int, number: Any) -> Any:
        """Which contributions are in a frame: float32 (batch, timesteps, P * 3), 1 or 0."""
        length = self.observation.window
        now = ops.arange(length or size, dtype="float32")
        if length is not None:
            first = first_of_window(self.observation.seed, number, size - length + 1)
            now = now + ops.cast(first, "float32")
        drawn = ops.reshape(ops.transpose(times, (1, 0, 2)), (-1, 1, times.shape[0] * _COLUMNS))
        shows = ops.less_equal if self.observation.line == "line" else ops.equal
        return ops.cast(shows(drawn, now[..., None]), "float32")


def _drawn_columns(path: Any, label: Any) -> tuple[Any, Any]:
    """Rows and times of the pixels in the three columns of every column of windows, (P, batch, 3)."""
    size = path.shape[1]
    windows = (size - 1) // 2
    is_right = ops.equal(ops.cast(label, "float32"), RIGHT)[:, None]
    time = ops.arange(size, dtype="float32")
    path = ops.cast(path, "float32")

    def by_window(of_column: Any) -> Any:
        columns = [of_column[:, column : column + 2 * windows - 1 : 2] for column in range(_COLUMNS)]
        return ops.transpose(ops.stack(columns, axis=-1), (1, 0, 2))

    rows = ops.where(is_right, path, ops.flip(path, axis=1))
    return by_window(rows), by_window(ops.where(is_right, time, ops.flip(time)))


def _one_hot(numbers: Any, count: int) -> Any:
    """float32 (..., count); of numbers outside of 0 to count - 1, zeros."""
    return ops.one_hot(ops.cast(numbers, "int32"), count, dtype="float32")


def _every_state() -> Any:
    """A window in all its states, as the frames of one sequence: float32 (1, 64, 3, 3, 1)."""
    frames = [
        [
            [[float(state // _PLACES**column % _PLACES == row)] for column in range(_COLUMNS)]
            for row in range(_COLUMNS)
        ]
        for state in range(_STATES)
    ]
    return ops.convert_to_tensor([frames], "float32")
