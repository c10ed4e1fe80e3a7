"""Networks that describe clips in words: an encoder of frames, an LSTM over them, and an LSTM that writes."""

from model.captions.captioner import CaptionerOptions, build_captioner, clip_states, decoder_of
from model.captions.decoder import END, PAD, SPECIAL, START, UNKNOWN, CaptionDecoder, is_token
from model.captions.writing import CaptionScores, WrittenCaptions

__all__ = [
    "END",
    "PAD",
    "SPECIAL",
    "START",
    "UNKNOWN",
    "CaptionDecoder",
    "CaptionScores",
    "CaptionerOptions",
    "WrittenCaptions",
    "build_captioner",
    "clip_states",
    "decoder_of",
    "is_token",
]
