"""What the trainer does for data sets of frames that captions describe in words."""
