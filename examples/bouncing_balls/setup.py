"""Packages the kind for Beam workers on other machines: ``--setup_file examples/bouncing_balls/setup.py``."""

from setuptools import setup

setup(name="bouncing-balls", version="0.1.0", py_modules=["bouncing_balls"])
