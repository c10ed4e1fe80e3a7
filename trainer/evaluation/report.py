"""``report.html``: a judgement on one page, which needs no other file."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from trainer.evaluation.evidence import Evidence
from trainer.evaluation.plots import draw_pictures
from trainer.evaluation.summary import bound_text, number_text
from trainer.run.tensorflow_files import save_bytes

_CAPTIONS = {
    "confusion_matrix": "Labels against predictions, with shares of each label.",
    "accuracy_by_frame": "What the model would say if sequences ended after so many frames; 95 % intervals.",
    "reliability": "Of the sequences that are given a probability of “right”, the share that is.",
    "roc": "At every threshold, the share of each class that is called “right”.",
    "robustness": "The same sequences, with pixels flipped from 0 to 1 and from 1 to 0; 95 % intervals.",
    "worst": "Those whose label was given the least probability, by number, drawn as lines; red: wrong.",
}


def write_report(document: Mapping[str, Any], evidence: Evidence, directory: str) -> str:
    """Draw the pictures and the page into a directory, which is made if it is not there.

    Returns:
        The page's path.
    """
    os.makedirs(directory, exist_ok=True)
    pictures = draw_pictures(document, evidence)
    for name in set(_CAPTIONS) - set(pictures):  # Of an older judgement.
        if os.path.exists(stale := os.path.join(directory, f"{name}.png")):
            os.remove(stale)
    for name, picture in pictures.items():
        save_bytes(os.path.join(directory, f"{name}.png"), picture)
    path = os.path.join(directory, "report.html")
    save_bytes(path, report(document, pictures).encode())
    return path


def report(document: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    """The page.

    Args:
        document: of ``metrics.json``.
        pictures: PNG images, as `trainer.evaluation.plots.draw_pictures` gives them.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(os.path.dirname(__file__)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"bound": bound_text, "interval": _interval, "number": number_text}
    template = environment.get_template("report.html.jinja")
    figures = [
        (name, _CAPTIONS[name], base64.b64encode(picture).decode()) for name, picture in pictures.items()
    ]
    return template.render(document=document, pictures=figures)


def _interval(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"
