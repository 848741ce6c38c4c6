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


def read_person(file: Path) -> tuple[tuple[str, ...], float, Array, Array, Array | None]:
    """The first person's joint names, rate, rest (N, 3, 4), places (T, N, 3, 4) and skin in three frames.

    Raises:
        ValueError: the skeleton at rest is not the one that the skin was bound to.
    """
    from pxr import Usd, UsdGeom, UsdSkel

    stage = Usd.Stage.Open(str(file))
    root = next(prim for prim in stage.Traverse() if prim.IsA(UsdSkel.Root))
    skeleton = UsdSkel.Skeleton(root.GetChild("Skeleton"))
    cache = UsdSkel.Cache()
    cache.Populate(UsdSkel.Root(root), Usd.PrimDefaultPredicate)
    query = cache.GetSkelQuery(skeleton)

    def rows(matrices: object) -> Array:
        """The library's vectors are rows."""
        return np.swapaxes(np.array(matrices), -1, -2)[..., :3, :]

    rest = rows(query.ComputeJointSkelTransforms(Usd.TimeCode.Default(), True))
    if np.abs(rest - rows(query.GetJointWorldBindTransforms())).max() > 1e-5:
        raise ValueError(f"{file.name} rests otherwise than it was bound")
    last = round(stage.GetEndTimeCode())
    places = np.stack([rows(query.ComputeJointSkelTransforms(code)) for code in range(last + 1)])
    body = next((item for item in root.GetChildren() if item.IsA(UsdGeom.Mesh)), None)
    vertices: list[Array] = []
    for code in sorted({0, last // 2, last}) if body else ():
        points = UsdGeom.PointBased(body).GetPointsAttr().Get(code)
        skinning = cache.GetSkinningQuery(body)
        skinning.ComputeSkinnedPoints(query.ComputeSkinningTransforms(code), points, code)
        vertices.append(np.array(points, dtype=np.float64))
    skin = np.array(vertices) if vertices else None
    return (
        tuple(skeleton.GetJointNamesAttr().Get()),
        stage.GetTimeCodesPerSecond(),
        rest,
        places,
        skin,
    )
