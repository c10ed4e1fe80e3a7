"""Reads a data set of any kind back, names what is damaged, and repairs it."""
