"""The judge: from a model's answers on held-out sequences to ``metrics.json``, the gate and the report.

The way through: `scoring` runs the model over a split and gathers `evidence`; `document` makes numbers of it
by `metrics`, `ranking`, `calibration`, `intervals`, `by_frame` and `slices`; `lineage` says where they come
from; `checks` holds them against bounds; `summary`, `plots` and `report` show them. `judging` puts these
together, `reproduction` does it again, `watching` does it for every checkpoint of a running training.
"""
