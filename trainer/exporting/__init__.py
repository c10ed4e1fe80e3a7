"""Exports a classifier to formats that other programs can run.

`exporter` writes an export, compares it with the model, and puts it in place; `formats` lists the formats,
which have a module each. Neither depends on a kind of data set: `kinds` chooses the `exportable` of a run,
which is in `line_export`, `class_export` or `caption_export`.
"""
