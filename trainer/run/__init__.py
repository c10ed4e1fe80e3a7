"""The directory of a run, which run it holds, and the model in it."""
