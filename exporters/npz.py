"""NPZ with the keys of AMASS, one file per person, in our own world: Z up, metres."""

from __future__ import annotations

import io

import numpy as np

from exporters.take import Take


def export_npz(take: Take, /) -> dict[str, bytes]:
    """One NPZ file for each person: poses, trans, betas, gender, mocap_framerate, and what else we know.

    Args:
        take: the people and their motions.

    Returns:
        {file name: contents}; arrays in full precision, nothing pickled. Frames without a pose stay NaN.
    """
    files: dict[str, bytes] = {}
    for character in take.characters:
        buffer = io.BytesIO()
        np.savez(buffer, **character.motion.to_arrays())  # pyright: ignore[reportArgumentType] (allow_pickle)
        files[f"{character.name}.npz"] = buffer.getvalue()
    return files
