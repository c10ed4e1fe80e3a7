"""What is exported of a run: the interface between the exporter, the formats, and kinds of data sets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt

from trainer.run.trained_model import TrainedModel

NUM_SAMPLES = 256

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Request:
    """A request to an export, and what the Keras model answers.

    Attributes:
        signature: name of the SavedModel's signature that it is for.
        inputs: of this signature, by name.
        expected: what the Keras model gives for `Exportable.output`, float (n, ...).
        equal: other outputs that must be equal to the model's, by name; see `Exportable.difference`.
    """

    signature: str
    inputs: Arrays
    expected: npt.NDArray[np.floating[Any]]
    equal: Arrays = field(default_factory=dict)


class Exportable(ABC):
    """A trained model, what is served of it, and the requests on which an export is compared with it.

    Attributes:
        trained: the model.
        output: name of the output of numbers that every signature has, float32 (batch, ...): probabilities,
            or logarithms of them.
        only_signature: the one whose inputs and output the formats have that are written by converters.
    """

    output: ClassVar[str]
    only_signature: ClassVar[str]

    def __init__(self, trained: TrainedModel) -> None:
        self.trained = trained

    @property
    def is_half_precision(self) -> bool:
        """Whether the model computes in half precision; exports compute in float32."""
        layers = self.trained.classifier.layers
        return any(layer.compute_dtype in ("bfloat16", "float16") for layer in layers)

    @abstractmethod
    def archive(self) -> keras.export.ExportArchive:
        """The SavedModel, ready to be written. No GPU may be visible, else it runs on GPUs only."""

    @abstractmethod
    def convertible(self, *, is_unrolled: bool) -> keras.Model:
        """A model for converters, from inputs by name, or the only input, to outputs by name.

        Args:
            is_unrolled: whether the number of timesteps is fixed, and the loop over them unrolled.
        """

    @abstractmethod
    def requests(self, *, every_signature: bool) -> Iterable[Request]:
        """Requests of `NUM_SAMPLES` sequences in all, for every signature or only for `only_signature`.

        Raises:
            NotFiniteError: if the model's answers are not finite.
        """

    def difference(self, request: Request, outputs: Arrays) -> float:
        """The largest difference of an export's numbers from the model's; NaN if one is not a number.

        Raises:
            WorkError: if other outputs do not agree with these numbers or with the model.
        """
        return float(np.abs(outputs[self.output] - request.expected).max())

    def assets(self) -> dict[str, str]:
        """Files for people and clients in the SavedModel's ``assets``: content by name."""
        return {}

    def facts(self) -> dict[str, Any]:
        """What a client has to know besides names, dtypes and shapes; JSON."""
        return {}
