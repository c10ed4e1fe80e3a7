"""What the trainer does for data sets of frames and labels of any kind: N classes, any H x W, any length."""
