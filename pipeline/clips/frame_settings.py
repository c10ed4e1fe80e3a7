"""What decoding makes of a clip: the rate, size and encoding of its frames, and the bounds that it keeps."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

MAX_SIDE = 2**14
# Nothing that a camera makes has more pixels a frame; a small damaged file can ask for any number.
MAX_PIXELS = 2**26
MAX_SOURCE_FRAMES = 2**22
MAX_CHOSEN_FRAMES = 2**20
MAX_MEMORY_BYTES = 4 * 2**30


@dataclass(frozen=True)
class FrameSettings:
    """How the frames of a clip are chosen, made and stored.

    Attributes:
        fps: frames a second that are chosen.
        width, height: size of a stored frame, in pixels.
        fit: "crop" fills the frame and cuts what is over, "pad" shows everything and adds black bars.
        channels: 3 (RGB) or 1 (gray).
        encoding: "jpeg" or "png".
        jpeg_quality: libjpeg's quality, 1..100.
        max_frames: largest number of frames in a record; longer clips are cut into segments.
        skip_unused: do not decode frames that are not chosen and that no other frame depends on.
        timeout: seconds that decoding of one clip may take.
    """

    fps: Fraction
    width: int
    height: int
    fit: str
    channels: int
    encoding: str
    jpeg_quality: int
    max_frames: int
    skip_unused: bool = True
    timeout: float = 600.0

    def to_json(self) -> dict[str, Any]:
        """The settings in JSON values."""
        return {**asdict(self), "fps": str(self.fps)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> FrameSettings:
        """The inverse of `to_json`."""
        return cls(**{**document, "fps": Fraction(document["fps"])})
