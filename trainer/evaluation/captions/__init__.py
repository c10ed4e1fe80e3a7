"""Evaluation of models that describe clips: from their captions to numbers, pictures and a page.

All is computed from texts. Words of a caption are its parts between single spaces.
"""
