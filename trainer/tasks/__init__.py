"""What a model learns and answers: losses, metrics and answers of a task, chosen by what a data set holds."""
