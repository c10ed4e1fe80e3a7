"""Exports a classifier to formats that other programs can run.

`exporter` writes an export, compares it with the model, and puts it in place; `formats` lists the formats,
which have a module each.
"""
