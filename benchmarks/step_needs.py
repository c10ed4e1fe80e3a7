"""What training on a sequence takes at least, whatever computes it.

With S frames of S x S pixels, P = (S - 1) // 2 windows along an edge, F filters and U units, a number of an
operation stands for an addition or a multiplication.

Operations of matrix products, forward, the convolution counted as one:

- of frames: 2 S (4 (2 P)**2 F + P**2 F 4 U + U 4 U): convolution, the LSTM's product of its inputs, that of
  its state;
- of paths that are not drawn: 2 (3 P P F 4 U + S 3 P 4 U + S U 4 U): what every pixel changes times the
  input kernel, its sum over time, the LSTM's product of its state.

Backward takes twice as many.

Bytes: what the backward pass needs of the forward one is written once and read once, in numbers of the
precision: the LSTM's S (4 U) projected inputs and S (2 U) states, and before them S P**2 F features of
frames, or the 3 P**2 F changes of a path and the 3 P 4 U that come of them. The stored sequence, S**3 bytes
of frames or S + 1 of a path, is read in both passes. Gradients, weights and whatever else a program writes
down come on top.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Network:
    """The network's sizes: S, F and U."""

    size: int
    filters: int
    units: int

    @classmethod
    def of(cls, classifier: Any) -> Network:
        """Those of a classifier of `model.build_classifier`."""
        filters, units = classifier.get_layer("conv").filters, classifier.get_layer("lstm").units
        return cls(classifier.input_shape[2], filters, units)

    @property
    def windows(self) -> int:
        """P."""
        return (self.size - 1) // 2


def forward_operations(network: Network, draws_frames: bool) -> int:
    """Additions and multiplications of a sequence's matrix products, forward."""
    size, windows, filters, gates = network.size, network.windows, network.filters, 4 * network.units
    recurrent = size * network.units * gates
    if draws_frames:
        return 2 * (size * (4 * (2 * windows) ** 2 * filters + windows**2 * filters * gates) + recurrent)
    return 2 * (3 * windows**2 * filters * gates + size * 3 * windows * gates + recurrent)


def training_operations(network: Network, draws_frames: bool) -> int:
    """The same, forward and backward."""
    return 3 * forward_operations(network, draws_frames)


def training_bytes(network: Network, draws_frames: bool, stored_bytes: int, number_bytes: int) -> int:
    """Bytes of a sequence that have to be read or written, forward and backward.

    ``stored_bytes`` are those of a sequence as the device gets it, ``number_bytes`` of a precision's number.
    """
    size, windows, filters, gates = network.size, network.windows, network.filters, 4 * network.units
    before = size * windows**2 * filters
    if not draws_frames:
        before = 3 * windows**2 * filters + 3 * windows * gates
    return 2 * (stored_bytes + number_bytes * (before + size * (gates + 2 * network.units)))


def clip_training_operations(classifier: Any, num_frames: int) -> int:
    """Additions and multiplications of a clip's products, forward and backward.

    Of a classifier of `model.frames` with an encoder of its own and an LSTM. Backward takes twice as many as
    forward, but for the first convolution: nothing needs the gradient of the pixels.
    """
    per_frame = first = features = 0
    for layer in classifier.get_layer("encoder").encoder.layers:
        if hasattr(layer, "kernel_size"):
            _, height, width, filters = layer.output.shape
            operations = 2 * height * width * filters * math.prod(layer.kernel.shape[:3])
            per_frame += operations
            first = first or operations
        features = layer.output.shape[-1]
    units: int = classifier.get_layer("lstm").units
    per_frame += 2 * 4 * units * (features + units)
    return num_frames * (3 * per_frame - first)
