"""USD files through UsdSkel's own queries: what any program built on the library sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def people(file: Path) -> list[tuple[tuple[str, ...], float, Array, Array | None]]:
    """Of each person: joint names, rate, joints (T, N, 3), skinned vertices (T, V, 3); the file's axes."""
    from pxr import Usd, UsdGeom, UsdSkel

    stage = Usd.Stage.Open(str(file))
    rate, last = stage.GetTimeCodesPerSecond(), stage.GetEndTimeCode()
    codes = np.arange(stage.GetStartTimeCode(), last + 0.5)
    found = []
    for prim in stage.Traverse():
        if not prim.IsA(UsdSkel.Root):
            continue
        cache = UsdSkel.Cache()
        cache.Populate(UsdSkel.Root(prim), Usd.PrimDefaultPredicate)
        skeleton = UsdSkel.Skeleton(prim.GetChild("Skeleton"))
        query = cache.GetSkelQuery(skeleton)
        names = tuple(skeleton.GetJointNamesAttr().Get())
        bodies = [item for item in prim.GetChildren() if item.IsA(UsdGeom.Mesh)]
        joints, vertices = [], []
        for code in codes:
            joints.append(np.array(query.ComputeJointSkelTransforms(code))[:, 3, :3])
            for body in bodies:
                points = UsdGeom.PointBased(body).GetPointsAttr().Get(code)
                skinning = cache.GetSkinningQuery(body)
                skinning.ComputeSkinnedPoints(query.ComputeSkinningTransforms(code), points, code)
                vertices.append(np.array(points, dtype=np.float64))
        found.append((names, rate, np.array(joints), np.array(vertices) if vertices else None))
    return found


def read_usd(file: Path) -> tuple[tuple[str, ...], float, Array]:
    """The first person's joint names, rate, and joints (T, N, 3)."""
    names, rate, joints, _ = people(file)[0]
    return names, rate, joints
