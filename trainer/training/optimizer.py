"""The optimizer and its learning-rate schedule."""

from __future__ import annotations

from typing import Any

import keras

from trainer.training.settings import TrainingSettings

# Adam's default, 0.999, averages squared gradients over about 1,000 steps. The loss falls by orders of
# magnitude within hundreds, so that step sizes would follow outdated gradients.
ADAM_BETA_2 = 0.99


def make_optimizer(settings: TrainingSettings, num_steps: int) -> keras.optimizers.Optimizer:
    """Make Adam with warm-up, schedule and clipping; with loss scaling for float16.

    Args:
        settings: of the run.
        num_steps: number of steps of the whole run.
    """
    rate: Any = settings.learning_rate
    if settings.schedule == "cosine" or settings.warmup_steps:
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if settings.warmup_steps else rate,
            max(1, num_steps - settings.warmup_steps),
            alpha=0.0 if settings.schedule == "cosine" else 1.0,
            warmup_target=rate if settings.warmup_steps else None,
            warmup_steps=settings.warmup_steps,
        )
    optimizer = keras.optimizers.Adam(rate, beta_2=ADAM_BETA_2, global_clipnorm=settings.clip_norm)
    if settings.precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer
