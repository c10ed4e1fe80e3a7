"""Classifiers of clips: an encoder of frames, what goes over time, and a head for any number of classes."""

from model.frames.encoders import ARCHITECTURES, FrameEncoder
from model.frames.over_time import TEMPORAL, LastState, MeanOverTime
from model.frames.video_classifier import VideoClassifierOptions, build_video_classifier, clip_inputs

__all__ = [
    "ARCHITECTURES",
    "TEMPORAL",
    "FrameEncoder",
    "LastState",
    "MeanOverTime",
    "VideoClassifierOptions",
    "build_video_classifier",
    "clip_inputs",
]
