"""Write video: H.264 in an mp4, the same bytes from the same frames."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PRESET = "veryfast"
"""How hard x264 searches: about as hard as a camera's chip, and three times as fast as its default."""


class ClipWriter:
    """Writes an H.264 mp4; the same frames give the same bytes. The file appears when it is complete.

    Args:
        path: file to write.
        size_px: width and height, both even.
        rate_hz: frame rate.
        crf: x264's quality, 0 (lossless) to 51; 23 is a camera's ordinary quality.
    """

    def __init__(self, path: Path, size_px: tuple[int, int], rate_hz: float, crf: float = 23) -> None:
        if size_px[0] % 2 or size_px[1] % 2:
            raise ValueError(f"H.264 needs an even width and height, not {size_px}")
        self.path = Path(path)
        self.size_px = size_px
        self._partial = self.path.with_name(f".{self.path.name}.part")
        self._rate = Fraction(rate_hz).limit_denominator(1001)
        # Ten ticks a frame leave room for frames that come early or late.
        self._tick = 1 / (self._rate * 10)
        self._count = 0
        self._crf = crf
        self._container: Any = None
        self._stream: Any = None

    def __enter__(self) -> ClipWriter:
        """Begin the file."""
        import av

        self._container = av.open(str(self._partial), "w", format="mp4")
        self._stream = self._container.add_stream("libx264", rate=self._rate)
        self._stream.width, self._stream.height = self.size_px
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": str(self._crf), "preset": _PRESET}
        self._stream.codec_context.thread_count = 1  # x264's choices depend on the number of threads
        self._stream.codec_context.time_base = self._tick
        return self

    def write(self, rgb: NDArray[np.uint8], time_s: float | None = None) -> None:
        """Append one (H, W, 3) image.

        Args:
            rgb: the image.
            time_s: its presentation time; by default the frames are evenly spaced.
        """
        import av

        if rgb.shape != (self.size_px[1], self.size_px[0], 3):
            raise ValueError(f"the image must be {(self.size_px[1], self.size_px[0], 3)}, not {rgb.shape}")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        frame.pts = self._count * 10 if time_s is None else round(time_s / self._tick)
        frame.time_base = self._tick
        self._count += 1
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file, or drop it where the frames could not all be made."""
        try:
            if kind is None:
                for packet in self._stream.encode(None):
                    self._container.mux(packet)
            self._container.close()
            if kind is None:
                self._partial.replace(self.path)
        finally:
            self._partial.unlink(missing_ok=True)
