"""Every number against one computed by hand; AP against values of pycocotools 2.0.11."""

import numpy as np
import pytest

from mocap import metrics
from mocap.keypoint_metrics import COCO_SIGMAS, FoundPeople, LabelledPeople


def test_pck() -> None:
    truth = np.zeros((2, 3, 2))
    truth[1, 2] = np.nan
    off = np.array([[[3.0, 4.0], [0, 4.9], [0, 5.1]], [[6, 8], [np.nan, 0], [0, 0]]])
    estimate = truth + off
    # first person of size 10, second of 20: right are 5.0, 4.9 and 10.0; wrong 5.1 and the missing one
    assert metrics.pck(estimate, truth, np.array([10.0, 20.0])) == pytest.approx(3 / 5)
    assert metrics.pck(estimate, truth, 10.0) == pytest.approx(2 / 5)
    assert metrics.pck(estimate, truth, 1.0, alpha=5.1) == pytest.approx(3 / 5)
    assert np.isnan(metrics.pck(estimate, truth * np.nan, 1.0))


def test_pcp() -> None:
    truth = np.array([[0.0, 0, 0], [1, 0, 0], [1, 2, 0]])
    estimate = truth + np.array([[0, 0, 0.8], [0, 0, 0.1], [0, 0, 1.2]])
    parts = [(0, 1), (1, 2)]  # lengths 1 and 2: mean off 0.45 and 0.65, worst end 0.8 and 1.2
    assert metrics.pcp(estimate, truth, parts) == 1.0
    assert metrics.pcp(estimate, truth, parts, both_ends=True) == 0.0
    assert metrics.pcp(estimate, truth, parts, alpha=0.4) == 0.5
    estimate[2] = np.nan
    assert metrics.pcp(estimate, truth, parts) == 0.5
    truth[2] = np.nan
    assert metrics.pcp(estimate, truth, parts) == 1.0


def test_people_agreement() -> None:
    one, two = np.zeros((4, 3)), np.full((4, 3), 2.0)
    frames = [np.stack([one, two]), np.stack([one])]
    near = [np.stack([two + 0.1, one + 0.1, one + 9]), np.zeros((0, 4, 3))]
    found = metrics.people_agreement(near, frames, max_error=0.2)
    assert (found.precision, found.recall) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert found.f1 == pytest.approx(2 / 3)
    nobody = metrics.people_agreement([np.zeros((0, 4, 3))], [frames[1]], max_error=0.2)
    assert (nobody.precision, nobody.recall, nobody.f1) == (1.0, 0.0, 0.0)
    # two near the same person count once
    both = metrics.people_agreement([np.stack([one + 0.1, one])], [frames[1]], max_error=0.2)
    assert (both.precision, both.recall) == (0.5, 1.0)


def people(*places: float, area: float = 100.0, **more: np.ndarray) -> LabelledPeople:
    count = len(places)
    xy = np.repeat(np.array(places, float).reshape(-1, 1, 1), 17, 1) * [1.0, 0.0]
    fields = {"labelled": np.ones((count, 17), bool), "box_px": np.zeros((count, 4)), **more}
    return LabelledPeople(xy_px=xy, area_px2=np.full(count, area), **fields)


def test_oks_of_one_keypoint_and_of_people_without_labels() -> None:
    labelled = np.zeros((2, 17), bool)
    labelled[0, 0] = True
    box = np.array([[0, 0, 1, 1], [10.0, 10, 4, 2]])
    truth = people(0.0, 10.0, labelled=labelled, box_px=box)
    found = np.full((1, 17, 2), np.nan_to_num(3.0))
    found[0, 0] = [0.6, 0.8]
    # nose: one pixel off, area 100: exp(-1 / (2 * 100 * (2 * 0.026)²))
    similar = metrics.oks(found, truth)
    assert similar[0, 0] == pytest.approx(np.exp(-1 / (2 * 100 * 0.052**2)))
    # 16 keypoints at (3, 3): outside the box (6 to 18, 8 to 14) by 3 and 5; the nose by 5.4 and 7.2
    off = np.array([5.4**2 + 7.2**2] + [3.0**2 + 5.0**2] * 16)
    assert similar[0, 1] == pytest.approx(np.exp(-off / (2 * 100 * (2 * np.array(COCO_SIGMAS)) ** 2)).mean())


def test_ap_by_hand() -> None:
    truth = [people(0.0, 500.0), people(0.0)]
    perfect = [FoundPeople(image.xy_px, np.full(len(image.xy_px), 0.5)) for image in truth]
    assert metrics.average_precision(perfect, truth) == pytest.approx(np.ones(10))
    # the second image's person is missed, and a surer wrong one is found in the first: precision 1/2, 2/3
    wrong = FoundPeople(np.concatenate([truth[0].xy_px[:1] + 900, truth[0].xy_px]), np.array([0.9, 0.8, 0.7]))
    nothing = FoundPeople(np.zeros((0, 17, 2)), np.zeros(0))
    expected = 2 / 3 * 67 / 101  # at recalls 0 to 0.66; beyond two thirds nothing
    assert metrics.average_precision([wrong, nothing], truth) == pytest.approx(np.full(10, expected))
    assert np.isnan(metrics.average_precision([nothing], [people()])).all()
    crowd = people(0.0, 500.0, crowd=np.array([False, True]))
    many = FoundPeople(np.concatenate([crowd.xy_px, crowd.xy_px[1:]]), np.array([0.3, 0.9, 0.8]))
    assert metrics.average_precision([many], [crowd]) == pytest.approx(np.ones(10)), "crowds are ignored"


def test_ap_of_random_people_is_pycocotools() -> None:
    random = np.random.default_rng(5)
    found, truth = [], []
    for _ in range(12):
        count = random.integers(0, 4)
        xy = random.uniform(0, 600, (count, 1, 2)) + random.normal(0, 60, (count, 17, 2))
        labelled = random.random((count, 17)) < 0.7
        if count:
            labelled[0] &= random.random() < 0.7
        area = random.uniform(3000, 30000, count)
        box = np.concatenate([xy.min(1), np.ptp(xy, axis=1)], 1).reshape(-1, 4)
        crowd = random.random(count) < 0.1
        seen = random.integers(0, 5)
        source = random.integers(0, count, seen) if count else np.zeros(0, int)
        if count:
            spread = random.normal(0, 1, (len(source), 17, 2)) * random.uniform(1, 40, (len(source), 1, 1))
            places = xy[source] + spread
        else:
            places = random.uniform(0, 600, (seen, 17, 2))
        found.append(FoundPeople(places, random.random(len(places)).round(1)))
        truth.append(LabelledPeople(xy, labelled, area, box, crowd))
    assert metrics.average_precision(found, truth).mean() == pytest.approx(0.17315105946684892, abs=1e-12)
