"""Sheets hold every picture and its words; a take without results has none."""

import numpy as np

from mocap.overlay import PAPER, contact_sheet, take_sheet
from mocap.session import Session


def test_a_sheet_holds_all_pictures_and_words() -> None:
    panel = np.full((40, 60, 3), (200, 30, 30), np.uint8)
    sheet = np.asarray(
        contact_sheet([[panel, panel], [panel, panel]], ["a", "b"], ["1", "2"], title="T", notes=["n"])
    )
    assert (sheet == (200, 30, 30)).all(-1).sum() == 4 * 40 * 60
    assert (sheet[:40] != PAPER).any()


def test_a_take_without_results_has_no_sheet(tmp_path) -> None:
    session = Session.create(tmp_path / "s")
    assert take_sheet(session.take("take1"), title="T") is None
