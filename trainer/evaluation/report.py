"""``report.html``: a judgement on one page, which needs no other file."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from trainer.evaluation.captions import plots as plots_of_captions
from trainer.evaluation.captions.evidence import CaptionEvidence
from trainer.evaluation.evidence import Evidence
from trainer.evaluation.n_classes import plots as plots_of_n_classes
from trainer.evaluation.n_classes.evidence import ClassEvidence
from trainer.evaluation.n_classes.summary import may_be_guessing
from trainer.evaluation.plots import CAPTIONS, draw_pictures
from trainer.evaluation.summary import bound_text, number_text
from trainer.run.tensorflow_files import save_bytes

_ALL_NAMES = {
    *CAPTIONS,
    *plots_of_n_classes.CAPTIONS,
    *plots_of_captions.CAPTIONS,
    *plots_of_captions.STRIPS,
}


def write_report(
    document: Mapping[str, Any], evidence: Evidence | ClassEvidence | CaptionEvidence, directory: str
) -> str:
    """Draw the pictures and the page into a directory, which is made if it is not there.

    Returns:
        The page's path.
    """
    os.makedirs(directory, exist_ok=True)
    if isinstance(evidence, ClassEvidence):
        pictures = plots_of_n_classes.draw_pictures(document, evidence)
    elif isinstance(evidence, CaptionEvidence):
        pictures = plots_of_captions.draw_pictures(document, evidence)
    else:
        pictures = draw_pictures(document, evidence)
    for name in _ALL_NAMES - set(pictures):  # Of an older judgement.
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
        pictures: PNG images, as ``draw_pictures`` of `trainer.evaluation.plots`, of
            `trainer.evaluation.n_classes.plots` or of `trainer.evaluation.captions.plots` gives them.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(os.path.dirname(__file__)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        **{"bound": bound_text, "interval": _interval, "number": number_text},
        "may_be_guessing": may_be_guessing,
    }
    name, captions = "report.html.jinja", CAPTIONS
    if "classes" in document:
        captions = plots_of_n_classes.CAPTIONS
    elif "captions" in document:
        name, captions = "captions/report.html.jinja", plots_of_captions.CAPTIONS
    encoded = {name: base64.b64encode(picture).decode() for name, picture in pictures.items()}
    figures = [(name, captions[name], picture) for name, picture in encoded.items() if name in captions]
    strips = {name: picture for name, picture in encoded.items() if name not in captions}
    template = environment.get_template(name)
    return template.render(document=document, pictures=figures, strips=strips)


def _interval(interval: Sequence[float] | None, digits: int = 4) -> str:
    return "" if interval is None else f"{interval[0]:.{digits}f} to {interval[1]:.{digits}f}"
