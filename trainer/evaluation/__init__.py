"""Evaluates a trained model on held-out sequences: ``metrics.json``, checks and report.

`evaluator` runs an evaluation: `scoring` runs the model over a split and collects `evidence`; `document`
computes the numbers from it, with `metrics`, `ranking`, `calibration`, `intervals`, `by_frame` and `slices`;
`lineage` records their origin; `checks` compares them with bounds. `summary`, `plots` and `report` present
the result. `reproduction` repeats an evaluation, `watching` evaluates each checkpoint of a running training.
"""
