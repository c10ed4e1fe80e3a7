"""Devices, replicas, and the processes of a cluster that trains one model."""
