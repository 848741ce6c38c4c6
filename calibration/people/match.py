"""Which person of one camera is which of another, before any camera has a place: by how they move.

The courses of two people differ, those of one person seen from two sides agree (``people_clocks``): every
pair of rows of two cameras is compared at all shifts, all pairs vote on the clocks, and rows that agree at
the common shift are joined, the surest first.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from calibration.people.clocks import courses, pair_shift
from calibration.people.curves import PersonView

_LEAST_AGREEMENT = 0.15
"""Rows that agree less are not taken for one person."""
_SAME_SHIFT_S = 0.1
"""Rows of one person show the two clocks' shift to within this."""
_LEAST_SHARE = 0.15
"""A row that is filled for a smaller share of the clip is not compared."""


def match_people(
    views: Sequence[PersonView], max_lag_s: float, offset_s: Tensor | None = None
) -> list[PersonView]:
    """The same views with corresponding rows; people whom fewer than two cameras see are left out.

    The first row is the person who is seen by most cameras for longest.
    """
    filled = [_filled(view) for view in views]
    if all(len(rows) <= 1 for rows in filled):
        return [_take(view, [rows[0] if rows else None]) for view, rows in zip(views, filled, strict=True)]
    nodes = [(camera, row) for camera, rows in enumerate(filled) for row in rows]
    course = {node: courses(views[node[0]], node[1]) for node in nodes}
    links: list[tuple[float, float, tuple[int, int], tuple[int, int]]] = []
    for i, a in enumerate(nodes):
        for b in nodes[i + 1 :]:
            if a[0] == b[0]:
                continue
            shift = pair_shift(course[a], course[b], max_lag_s, (a[0], b[0]))
            if shift is not None and shift.agreement > _LEAST_AGREEMENT:
                links.append((shift.agreement, shift.lag_s, a, b))
    common = _common_shifts(links, offset_s, len(views))
    groups = _joined(links, common, nodes)
    groups = [group for group in groups if len(group) > 1] or [
        {n[0]: n[1] for n in nodes if n[1] == filled[n[0]][0]}
    ]
    groups.sort(key=lambda group: (-len(group), -sum(_presence(views[c], r) for c, r in group.items())))
    return [_take(view, [group.get(camera) for group in groups]) for camera, view in enumerate(views)]


def _filled(view: PersonView) -> list[int]:
    """Rows that hold somebody for long enough, the fullest first."""
    share = torch.isfinite(view.xy_px).all(-1).any(-1).double().mean(0)
    return [int(row) for row in share.argsort(descending=True, stable=True) if share[row] >= _LEAST_SHARE]


def _presence(view: PersonView, row: int) -> float:
    return float(torch.isfinite(view.xy_px[:, row]).all(-1).any(-1).double().mean())


def _common_shifts(
    links: Sequence[tuple[float, float, tuple[int, int], tuple[int, int]]],
    offset_s: Tensor | None,
    cameras: int,
) -> Tensor:
    """(C, C) lag of camera j less camera i that most agreement speaks for; NaN where nothing does."""
    if offset_s is not None:
        return offset_s[None] - offset_s[:, None]
    result = torch.full((cameras, cameras), torch.nan, dtype=torch.float64)
    for i in range(cameras):
        for j in range(i + 1, cameras):
            votes = [(worth, lag) for worth, lag, a, b in links if (a[0], b[0]) == (i, j)]
            if votes:
                best = max(
                    votes,
                    key=lambda vote: sum(w**2 for w, lag in votes if abs(lag - vote[1]) < _SAME_SHIFT_S),
                )
                result[i, j], result[j, i] = best[1], -best[1]
    return result


def _joined(
    links: Sequence[tuple[float, float, tuple[int, int], tuple[int, int]]],
    common: Tensor,
    nodes: Sequence[tuple[int, int]],
) -> list[dict[int, int]]:
    """Groups camera -> row, joined greedily; never two rows of one camera."""
    group = {node: {node[0]: node[1]} for node in nodes}
    for _, lag, a, b in sorted(links, key=lambda link: -link[0]):
        if abs(lag - float(common[a[0], b[0]])) > _SAME_SHIFT_S or group[a] is group[b]:
            continue
        if set(group[a]) & set(group[b]):
            continue
        merged = group[a] | group[b]
        for camera, row in merged.items():
            group[camera, row] = merged
    unique: list[dict[int, int]] = []
    for one in group.values():
        if not any(one is other for other in unique):
            unique.append(one)
    return unique


def _take(view: PersonView, rows: Sequence[int | None]) -> PersonView:
    """Some rows of a view; None gives a row in which nobody is seen."""
    xy, sigma = (
        torch.full_like(view.xy_px[:, :1], torch.nan),
        torch.full_like(view.sigma_px[:, :1], torch.nan),
    )
    return PersonView(
        view.time_s,
        torch.cat([xy if row is None else view.xy_px[:, row : row + 1] for row in rows], 1),
        torch.cat([sigma if row is None else view.sigma_px[:, row : row + 1] for row in rows], 1),
        view.size_px,
    )
