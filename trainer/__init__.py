"""Training, evaluation and prediction on data sets of moving lines."""
