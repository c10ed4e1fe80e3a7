"""Measurements as commands; every figure in the README comes from one of them."""
