"""Pictures of a data set of any kind."""
