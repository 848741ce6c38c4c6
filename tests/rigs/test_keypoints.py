import pytest

from rigs.errors import RigError
from rigs.keypoints import KEYPOINT_SETS, LIMBS, canonical_names, is_person, limbs, mirrored_name
from rigs.placements import _table, placed, placements

BODIES = sorted(set(KEYPOINT_SETS) - {"hand21", "hands42"})


def test_sets_have_their_sizes_and_unique_names() -> None:
    sizes = {
        "coco17": 17,
        "coco_wholebody23": 23,
        "halpe26": 26,
        "body25": 25,
        "body25b": 25,
        "blazepose33": 33,
        "blazepose75": 75,
        "coco_wholebody133": 133,
        "halpe136": 136,
        "openpose18": 18,
        "openpose_mpi15": 15,
        "mpii16": 16,
        "h36m17": 17,
        "hand21": 21,
        "hands42": 42,
        "smpl24": 24,
    }
    assert {name: len(names) for name, names in KEYPOINT_SETS.items()} == sizes
    for names in KEYPOINT_SETS.values():
        assert len(set(names)) == len(names)
        assert {mirrored_name(name) for name in names} == set(names)


def test_joints_of_a_body_are_told_from_keypoints() -> None:
    assert canonical_names(KEYPOINT_SETS["smpl24"]) == KEYPOINT_SETS["smpl24"]
    assert canonical_names(["Pelvis", "head"]) == ("mid_hip", "head_top")
    places = placements("smpl24", ["pelvis", "spine1", "spine2", "spine3", "right_hand"])
    assert [place.on for place in places][:2] == [("joint:pelvis",), ("joint:spine1",)]


def test_orders_that_are_easily_mixed_up() -> None:
    assert KEYPOINT_SETS["coco17"].index("left_shoulder") == 5
    assert KEYPOINT_SETS["halpe26"][20:24] == (
        "left_big_toe",
        "right_big_toe",
        "left_small_toe",
        "right_small_toe",
    )
    assert KEYPOINT_SETS["body25"][:5] == ("nose", "neck", "right_shoulder", "right_elbow", "right_wrist")
    assert KEYPOINT_SETS["body25"][19:22] == ("left_big_toe", "left_small_toe", "left_heel")
    assert KEYPOINT_SETS["blazepose33"].index("left_hip") == 23
    assert KEYPOINT_SETS["blazepose33"].index("right_foot_index") == 32


def test_whole_bodies_end_with_left_and_right_hand() -> None:
    for name, first in (("coco_wholebody133", 91), ("halpe136", 94)):
        names = KEYPOINT_SETS[name]
        assert names[first] == "left_hand_root"
        assert names[first + 8] == "left_forefinger4"
        assert names[first + 21] == "right_hand_root"
        assert names[-1] == "right_pinky_finger4"


def test_one_known_name_is_given_once() -> None:
    assert canonical_names(["Head", "crown", "nose"]) == ("head_top", "crown", "nose")
    assert canonical_names(["hip", "mid_hip"]) == ("hip", "mid_hip")


@pytest.mark.parametrize("name", BODIES)
def test_bodies_are_people(name: str) -> None:
    assert is_person(KEYPOINT_SETS[name])


@pytest.mark.parametrize(
    "names",
    [
        KEYPOINT_SETS["hands42"],
        ("nose", "left_wrist", "right_shoulder", "right_elbow", "right_wrist"),  # of a mouse
        # a horse that is labelled with human names
        (*KEYPOINT_SETS["coco17"], "tail_base"),
        ("left_shoulder", "right_shoulder", "left_hip", "right_hip", "left_front_paw"),
        ("tip", "grip"),
        (),
    ],
)
def test_hands_animals_and_props_are_no_people(names: tuple[str, ...]) -> None:
    assert not is_person(names)


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("LBigToe", "left_big_toe"),
        ("Left Eye", "left_eye"),
        ("left-eye", "left_eye"),
        ("REar", "right_ear"),
        ("lear", "left_ear"),
        ("ankle.L", "left_ankle"),
        ("ShoulderRight", "right_shoulder"),
        ("rSmallToe", "right_small_toe"),
        ("MidHip", "mid_hip"),
        ("Hip", "mid_hip"),
        ("Head", "head_top"),
        ("Nose", "nose"),
        ("LEFT_FOOT_INDEX", "left_foot_index"),
        ("mouth_left", "mouth_left"),
        ("left_mouth", "mouth_left"),
        ("LHip", "left_hip"),
        ("leftHand3", "left_hand3"),
        ("Tail Base", "tail_base"),
    ],
)
def test_spellings(spelled: str, name: str) -> None:
    assert canonical_names([spelled]) == (name,)


@pytest.mark.parametrize("set_name", KEYPOINT_SETS)
def test_canonical_names_stay(set_name: str) -> None:
    assert canonical_names(KEYPOINT_SETS[set_name]) == KEYPOINT_SETS[set_name]


@pytest.mark.parametrize("set_name", BODIES)
def test_limbs_join_the_body_of_every_set(set_name: str) -> None:
    names = KEYPOINT_SETS[set_name]
    edges = limbs(names)
    touched = {names[index] for edge in edges for index in edge}
    assert {"left_wrist", "right_ankle", "left_hip", "right_shoulder"} <= touched
    mirrored = {frozenset(mirrored_name(name) for name in pair) for pair in LIMBS}
    assert mirrored == {frozenset(pair) for pair in LIMBS}


@pytest.mark.parametrize("set_name", KEYPOINT_SETS)
def test_every_keypoint_has_a_place_and_right_mirrors_left(set_name: str) -> None:
    names = placed(set_name)
    places = dict(zip(names, placements(set_name, names), strict=True))
    for name, place in places.items():
        assert place.sigma_m > 0
        mirrored = places[mirrored_name(name)].mirrored()
        assert set(mirrored.on) == set(place.on)
        assert mirrored.offset_m == place.offset_m or mirrored_name(name) == name
    assert set(_table(set_name, ())) >= {name for name in names if not name.startswith("right_")} - {
        "mouth_right"
    }


def test_the_smaller_sets_are_placed_whole_and_faces_are_not() -> None:
    for name in ("coco17", "coco_wholebody23", "halpe26", "body25", "body25b", "blazepose33", "openpose18"):
        assert placed(name) == KEYPOINT_SETS[name]
    assert placed("coco_wholebody133")[:23] == KEYPOINT_SETS["coco_wholebody23"]
    knuckles = placed("coco_wholebody133")[23:]
    assert len(knuckles) == 12
    assert {"left_hand_root", "left_thumb2", "right_forefinger1"} <= set(knuckles)
    with pytest.raises(RigError, match="coco_wholebody133 has no face_3"):
        placements("coco_wholebody133", ["face_3"])


def test_what_is_unknown_is_named_with_what_is_known() -> None:
    with pytest.raises(RigError, match=r"no keypoint set 'coco18'; known are coco17"):
        placements("coco18", ["nose"])
    with pytest.raises(RigError, match=r"coco17 has no left_heel; it has nose"):
        placements("coco17", ["nose", "LHeel"])
