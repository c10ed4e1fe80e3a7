"""Evaluation of classifiers of N classes: from their answers to numbers and pictures.

Moving lines, whose two classes are told by one probability, have modules of their own beside this package.
"""
