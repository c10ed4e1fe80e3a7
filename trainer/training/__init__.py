"""Trains a model: settings, plan, model and optimizer, loop, callbacks, checkpoints, history."""
