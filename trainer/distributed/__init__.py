"""Devices, replicas and processes that train together."""
