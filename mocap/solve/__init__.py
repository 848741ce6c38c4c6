"""The whole-take solve of 3D keypoints: all cameras, all instants and all keypoints of a person at once.

``start`` gives every keypoint a rough track, ``noise`` and ``motion`` estimate from the data how wrong a
detector is and how smoothly people move, ``bones`` how constant the distances within the body are.
``terms`` says what a solution should satisfy, ``equations`` solves any sum of terms, ``take`` is the recipe.
"""

from mocap.solve.take import SolvedTake, solve_take

__all__ = ["SolvedTake", "solve_take"]
