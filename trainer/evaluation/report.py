"""``report.html``: a judgement on one page, which needs no other file."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trainer.evaluation.evidence import Evidence
from trainer.evaluation.plots import draw_pictures
from trainer.evaluation.summary import bound_text, number_text
from trainer.run.run_directory import write_bytes

_CAPTIONS = {
    "confusion_matrix": "Labels against predictions, with shares of each label.",
    "accuracy_by_frame": "What the model would say if sequences ended after so many frames; 95 % intervals.",
    "reliability": "Of the sequences that are given a probability of “right”, the share that is.",
    "roc": "At every threshold, the share of each class that is called “right”.",
    "robustness": "The same sequences, with pixels flipped from 0 to 1 and from 1 to 0; 95 % intervals.",
    "worst": "Those whose label was given the least probability, by number, drawn as lines; red: wrong.",
}

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light; }}
body {{ margin: 0 auto; padding: 1rem; max-width: 68rem; color: #12203a; background: #fff;
       font: 1rem/1.5 system-ui, sans-serif; }}
h1 {{ font-size: 1.5rem; margin: 0 0 .5rem; }}
h2 {{ font-size: 1.15rem; margin: 2rem 0 .5rem; }}
.verdict {{ padding: .1rem .7rem; border-radius: 1rem; color: #fff; font-weight: 600; }}
.passed {{ background: #2b7a3f; }}
.failed {{ background: #c1121f; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .25rem .7rem .25rem 0; text-align: left; vertical-align: top;
         border-bottom: 1px solid #d9dee8; }}
.wide td, .wide th {{ white-space: nowrap; }}
td.number {{ text-align: right; }}
td.code {{ overflow-wrap: anywhere; font: .85rem/1.5 ui-monospace, monospace; }}
tr.failed {{ background: #fbe3e4; color: inherit; }}
.pictures {{ display: grid; gap: 1.5rem;
            grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); }}
figure {{ margin: 0; }}
figure.whole {{ grid-column: 1 / -1; max-width: 42rem; }}
img {{ width: 100%; height: auto; }}
figcaption {{ font-size: .9rem; color: #4a5568; }}
@media (max-width: 32rem) {{ th, td {{ font-size: .85rem; padding-right: .5rem; }} }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


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
        write_bytes(os.path.join(directory, f"{name}.png"), picture)
    path = os.path.join(directory, "report.html")
    write_bytes(path, report(document, pictures).encode())
    return path


def report(document: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    """The page.

    Args:
        document: of ``metrics.json``.
        pictures: PNG images, as `trainer.evaluation.plots.draw_pictures` gives them.
    """
    metrics, dataset = document["metrics"], document["dataset"]
    count = dataset["num_sequences"]
    low, high = metrics["accuracy_interval"]
    first = document["accuracy_by_frame"]["first_frame_at_99_percent"]
    frames = len(document["accuracy_by_frame"]["frames"])
    early = (
        f"99 % are right after {first} of {frames} frames." if first else "99 % are not reached at any frame."
    )
    body = [
        f"<h1>{_verdict(document['passed'])} {metrics['accuracy']:.2%} of {count:,} held-out sequences</h1>",
        f"<p>The model after {document['model']['step']:,} steps answers {count - metrics['errors']:,} of"
        f" {count:,} sequences of split {_escaped(dataset['split'])} rightly; the 95 % interval of that share"
        f" is {low:.2%} to {high:.2%}. {early}</p>",
    ]
    if document["checks"]:
        body.append("<h2>Checks</h2>" + _checks(document["checks"]))
    body.append("<h2>Metrics</h2>" + _metrics(metrics))
    body.append(f'<h2>Pictures</h2><div class="pictures">{"".join(map(_figure, pictures.items()))}</div>')
    body.append("<h2>Slices</h2>" + _slices(document["slices"]))
    if document["robustness"]:
        body.append("<h2>Under flipped pixels</h2>" + _robustness(document["robustness"]))
    body.append("<h2>Where this comes from</h2>" + _lineage(document))
    title = f"Metrics of split {_escaped(dataset['split'])}, step {document['model']['step']}"
    return _PAGE.format(title=title, body="\n".join(body))


def _verdict(passed: bool | None) -> str:
    if passed is None:
        return ""
    name = "passed" if passed else "failed"
    return f'<span class="verdict {name}">{name}</span>'


def _checks(rows: Iterable[Mapping[str, Any]]) -> str:
    cells = [
        [
            "passed" if row["passed"] else "failed",
            row["name"],
            row["value"],
            bound_text(row),
            "" if row["baseline"] is None else f"baseline {number_text(row['baseline'])}",
        ]
        for row in sorted(rows, key=lambda row: bool(row["passed"]))
    ]
    return _table(("", "check", "value", "asked for", ""), cells, failed=lambda row: row[0] == "failed")


def _metrics(metrics: Mapping[str, Any]) -> str:
    rows = [
        [name.replace("_", " "), value, _interval(metrics.get(f"{name}_interval"))]
        for name, value in metrics.items()
        if isinstance(value, float | int | None) and not name.endswith("_interval")
    ]
    return _table(("metric", "value", "95 % interval"), rows)


def _slices(slices: Mapping[str, Any]) -> str:
    rows = []
    for name, groups in slices.items():
        for group, row in groups.items():
            small = " (small)" if row["is_small"] else ""
            interval = _interval(row["accuracy_interval"])
            rows.append([f"{name}: {group}{small}", row["accuracy"], interval, row["num_sequences"]])
    return _table(("slice", "accuracy", "95 % interval", "sequences"), rows)


def _robustness(rows: Iterable[Mapping[str, Any]]) -> str:
    cells = [
        [f"{row['flipped']:.4g}", row["accuracy"], _interval(row["accuracy_interval"]), row["loss"]]
        for row in rows
    ]
    return _table(("share flipped", "accuracy", "95 % interval", "loss"), cells)


def _interval(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"


def _lineage(document: Mapping[str, Any]) -> str:
    model, dataset, code = document["model"], document["dataset"], document["code"]
    rows = [
        ("model", f"{model['path']}, step {model['step']}"),
        ("model SHA-256", model["sha256"]),
        ("training's config SHA-256", model["config_sha256"] or "none"),
        ("trained on", model["trained_on"] or "unknown"),
        ("data", f"{dataset['path']}, split {dataset['split']}"),
        ("data's fingerprint", dataset["fingerprint"]),
        ("data's content", dataset["content_digest"]),
        ("damaged sequences left out", dataset["left_out"]["num_sequences"]),
        ("code", f"{code['version']}, SHA-256 {code['sha256']}"),
        (
            "speed",
            f"{document['throughput']['sequences_per_second']:,.0f} sequences/s on"
            f" {document['throughput']['device']}",
        ),
        ("environment", ", ".join(f"{name} {value}" for name, value in document["environment"].items())),
        ("intervals", "95 %: Wilson of proportions, DeLong of the ROC area, normal of means"),
    ]
    cells = "".join(
        f'<tr><th>{_escaped(name)}</th><td class="code">{_escaped(value)}</td></tr>' for name, value in rows
    )
    return f"<table>{cells}</table>"


def _figure(item: tuple[str, bytes]) -> str:
    name, picture = item
    shape = ' class="whole"' if name == "worst" else ""
    caption = _escaped(_CAPTIONS[name])
    source = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    return f'<figure{shape}><img src="{source}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]], failed: Any = lambda cells: False) -> str:
    parts = ['<div class="wide"><table><tr>', *(f"<th>{_escaped(cell)}</th>" for cell in head), "</tr>"]
    for cells in rows:
        parts.append('<tr class="failed">' if failed(cells) else "<tr>")
        parts.extend(map(_cell, cells))
        parts.append("</tr>")
    return "".join([*parts, "</table></div>"])


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return f"<td>{_escaped(value)}</td>"
    return f'<td class="number">{number_text(value)}</td>'


def _escaped(value: object) -> str:
    return html.escape(str(value))
