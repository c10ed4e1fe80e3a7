"""Trains a model: settings, plan, loop, callbacks, checkpoints, history."""
