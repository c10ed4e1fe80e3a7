"""The run directory: its files, the run it belongs to, and its trained model."""
