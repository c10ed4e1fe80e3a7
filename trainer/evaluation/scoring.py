"""Runs a model over the batches of a split, several batches in parallel."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import keras
import numpy as np
import numpy.typing as npt

from trainer.distributed.devices import num_parallel_batches
from trainer.run.trained_model import check_finite

Batch = TypeVar("Batch")
Features = dict[str, npt.NDArray[Any]]
# What a model answers: an array, or arrays by name.
Answers = Any


def answers_in_order(
    batches: Iterable[Batch], features_of: Callable[[Batch], Features], model: keras.Model, size: int
) -> Iterator[tuple[Batch, Answers]]:
    """Yield batches with the model's answers, in order.

    Computes `trainer.distributed.devices.num_parallel_batches` batches in parallel.

    Args:
        batches: of up to ``size`` examples.
        features_of: the model's inputs of a batch, by name.
        model: compiled for inference.
        size: a smaller batch is filled up, because the model would be compiled again for another size.

    Raises:
        WorkError: if the answers are not finite.
    """
    max_pending = num_parallel_batches()
    is_first = True
    with ThreadPoolExecutor(max_pending) as pool:
        pending: deque[tuple[Batch, Future[Answers]]] = deque()

        def first() -> tuple[Batch, Answers]:
            batch, answers = pending.popleft()
            return batch, answers.result()

        for batch in batches:
            pending.append((batch, pool.submit(_answers, model, features_of(batch), size)))
            # The first batch compiles the model; two must not do so in parallel.
            if is_first or len(pending) > max_pending:
                is_first = False
                yield first()
        while pending:
            yield first()


def _answers(model: keras.Model, features: Features, size: int) -> Answers:
    count = len(next(iter(features.values())))
    if count < size:
        places = np.minimum(np.arange(size), count - 1)
        features = {name: values[places] for name, values in features.items()}
    answers = keras.tree.map_structure(lambda each: each[:count], model.predict_on_batch(features))
    for each in keras.tree.flatten(answers):
        if np.issubdtype(each.dtype, np.floating):
            check_finite(each)
    return answers
