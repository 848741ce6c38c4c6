"""Boards as PDF, true to scale, on one sheet or on several that are joined."""

from __future__ import annotations

import io
import math
import re
from typing import Any, NamedTuple

from calibration.boards.board import Board, Rectangle
from calibration.errors import CalibrationError

PAGES_MM = {
    "A4": (210.0, 297.0),
    "A3": (297.0, 420.0),
    "A2": (420.0, 594.0),
    "A1": (594.0, 841.0),
    "A0": (841.0, 1189.0),
    "letter": (215.9, 279.4),
    "legal": (215.9, 355.6),
    "tabloid": (279.4, 431.8),
}
"""Paper sizes, upright, millimetres."""

_MARGIN_MM = 10.0
"""Edge that printers leave blank, on every side."""
_FOOT_MM = 22.0
"""Strip below the board for its description and the ruler."""
_LEAST_FIT_MM = 110.0
"""Room for the ruler on a sheet that is cut for a small board."""
_POINT_PER_MM = 72.0 / 25.4


class _Tile(NamedTuple):
    """A part of the board on one sheet, millimetres in the board frame."""

    part: Rectangle
    """What remains after cutting; the parts of all sheets make the board."""
    printed: Rectangle
    """What is printed: the part and what it shares with the sheets to its right and below."""


def board_pdf(board: Board, page: str = "A4", *, overlap_mm: float = 8.0) -> bytes:
    """The board as a vector PDF, true to scale, with its parameters, its measures and a ruler.

    A board larger than the page is spread over several sheets. Each shows a strip of its neighbours to the
    right and below, and marks outside the print where that strip begins: the neighbour, cut along its own
    edge, is laid over the strip up to the marks.

    Args:
        board: the board.
        page: one of ``PAGES_MM``; turned to landscape where that needs fewer sheets. ``WIDTHxHEIGHT`` in
            millimetres, or ``fit`` for one sheet as large as the board needs.
        overlap_mm: width of the shared strips.

    Returns:
        The file's contents; the same board gives the same bytes.

    Raises:
        CalibrationError: no such paper size, or one without room.
    """
    from reportlab.pdfgen.canvas import Canvas

    sheet_mm, tiles = _layout(board, page, overlap_mm)
    buffer = io.BytesIO()
    paper = (_POINT_PER_MM * sheet_mm[0], _POINT_PER_MM * sheet_mm[1])
    canvas = Canvas(buffer, pagesize=paper, pageCompression=0, invariant=1)
    canvas.setTitle(f"Calibration board {_parameters(board)}")
    for number, tile in enumerate(tiles):
        where = f"sheet {number + 1} of {len(tiles)}: " if len(tiles) > 1 else ""
        canvas.scale(_POINT_PER_MM, _POINT_PER_MM)
        _print_tile(canvas, board, tile.printed, sheet_mm[1])
        if len(tiles) > 1:
            _print_crop_marks(canvas, tile, sheet_mm[1])
        _print_foot(canvas, [where + _parameters(board), _measures(board)], sheet_mm[0])
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _layout(board: Board, page: str, overlap_mm: float) -> tuple[tuple[float, float], list[_Tile]]:
    """Sheet size (millimetres) and the part of the board on each sheet."""
    width, height = (1000.0 * side for side in board.size_m)
    plans: list[tuple[int, tuple[float, float], list[_Tile]]] = []
    upright = _sheet_mm(page, width, height)
    for sheet in (upright, (upright[1], upright[0])):
        room_x, room_y = sheet[0] - 2.0 * _MARGIN_MM, sheet[1] - 2.0 * _MARGIN_MM - _FOOT_MM
        columns, rows = _split(width, room_x, overlap_mm), _split(height, room_y, overlap_mm)
        tiles = [
            _Tile(
                Rectangle(x0, y0, x1, y1),
                Rectangle(x0, y0, min(x1 + overlap_mm, width), min(y1 + overlap_mm, height)),
            )
            for y0, y1 in rows
            for x0, x1 in columns
        ]
        plans.append((len(tiles) or 10**9, sheet, tiles))
    _, sheet, tiles = min(plans, key=lambda plan: plan[0])
    if not tiles:
        raise CalibrationError(f"paper size {page}: has no room beside its margins; choose a larger one")
    return sheet, tiles


def _split(length: float, room: float, overlap: float) -> list[tuple[float, float]]:
    """Equal parts of a side, each with the strip it shares no longer than the room; none without room."""
    if length <= room + 1e-9:
        return [(0.0, length)]
    if room <= overlap:
        return []
    count = math.ceil(length / (room - overlap) - 1e-9)
    return [(i * length / count, (i + 1) * length / count) for i in range(count)]


def _sheet_mm(page: str, width: float, height: float) -> tuple[float, float]:
    """The sheet, upright."""
    names = {name.lower(): name for name in PAGES_MM}
    if page.lower() in names:
        return PAGES_MM[names[page.lower()]]
    if page.lower() == "fit":
        return max(width, _LEAST_FIT_MM) + 2.0 * _MARGIN_MM, height + 2.0 * _MARGIN_MM + _FOOT_MM
    if sides := re.fullmatch(r"(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)", page.lower()):
        return float(sides[1]), float(sides[2])
    raise CalibrationError(
        f"paper size {page!r} is unknown; choose one of {', '.join(PAGES_MM)}, WIDTHxHEIGHT in mm, or fit"
    )


def _measures(board: Board) -> str:
    """What to find with a ruler on the joined print."""
    (width, height), side = (1000.0 * length for length in board.size_m), 1000.0 * board.square_m
    text = f"The whole board measures {width:.1f} x {height:.1f} mm, a square {side:.2f} mm"
    return (
        text + f", a marker {1000.0 * board.marker_m:.2f} mm." if board.type != "chessboard" else text + "."
    )


def _parameters(board: Board) -> str:
    """The lines of session.toml that describe the board, in one."""
    size = f"columns = {board.columns}, rows = {board.rows}, square_m = {board.square_m:g}"
    text = f'type = "{board.type}", {size}'
    if board.type != "chessboard":
        text += f', marker_m = {board.marker_m:g}, dictionary = "{board.dictionary}"'
    text += ", inverted = true" * board.inverted + ", legacy = true" * board.legacy
    return text + f", marker_ids = {list(board.marker_ids)}" * bool(board.marker_ids)


def _print_tile(canvas: Any, board: Board, tile: Rectangle, sheet_height_mm: float) -> None:
    """The part of the board inside ``tile``, its top left corner at the page's margins."""

    def clipped(box: Rectangle) -> tuple[float, float, float, float] | None:
        left, top = max(1000.0 * box.left, tile.left), max(1000.0 * box.top, tile.top)
        right, bottom = min(1000.0 * box.right, tile.right), min(1000.0 * box.bottom, tile.bottom)
        if right - left < 1e-6 or bottom - top < 1e-6:
            return None
        page_y = sheet_height_mm - _MARGIN_MM - (bottom - tile.top)
        return left - tile.left + _MARGIN_MM, page_y, right - left, bottom - top

    # One path for everything: areas that touch then leave no hairline between them.
    path = canvas.beginPath()
    for box in ([Rectangle(0.0, 0.0, *board.size_m)] if board.inverted else []) + board.black_rectangles():
        if (area := clipped(box)) is not None:
            path.rect(*area)
    canvas.setFillGray(0.0)
    # Even-odd: the areas of an inverted board cut white holes into the black ground.
    canvas.drawPath(path, stroke=0, fill=1, fillMode=0)


def _print_crop_marks(canvas: Any, tile: _Tile, sheet_height_mm: float) -> None:
    """Marks outside the print, in line with the edges of the part that remains."""
    canvas.setLineWidth(0.1)
    left, top = _MARGIN_MM, sheet_height_mm - _MARGIN_MM
    across, down = tile.printed.right - tile.printed.left, tile.printed.bottom - tile.printed.top
    for x in (left, left + tile.part.right - tile.part.left):
        canvas.line(x, top + 1.0, x, top + 5.0)
        canvas.line(x, top - down - 1.0, x, top - down - 5.0)
    for y in (top, top - (tile.part.bottom - tile.part.top)):
        canvas.line(left - 1.0, y, left - 5.0, y)
        canvas.line(left + across + 1.0, y, left + across + 5.0, y)


def _print_foot(canvas: Any, lines: list[str], sheet_width_mm: float) -> None:
    """A ruler of 100 mm, how to use it, and the board's parameters and measures."""
    base = _MARGIN_MM + 10.5
    canvas.setLineWidth(0.15)
    canvas.line(_MARGIN_MM, base, _MARGIN_MM + 100.0, base)
    for tick in range(0, 101, 5):
        canvas.line(_MARGIN_MM + tick, base, _MARGIN_MM + tick, base + (3.0 if tick % 10 == 0 else 1.8))
    canvas.setFillGray(0.0)
    advice = "This line is 100 mm: print at 100 % (no fit to page); measure it, and a long side each way."
    for row, text in enumerate([advice, *lines]):
        room = sheet_width_mm - 2.0 * _MARGIN_MM
        size = min(2.5, 2.5 * room / canvas.stringWidth(text, "Helvetica", 2.5))
        canvas.setFont("Helvetica", size)
        canvas.drawString(_MARGIN_MM, base - 4.0 - 3.2 * row, text)
