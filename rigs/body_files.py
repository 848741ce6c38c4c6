"""Reading body files: the shipped format, and a user's own SMPL, SMPL-H or SMPL-X.

The shipped ``.npz`` has the arrays of the SMPL format under their usual names, and with them joint names and
keypoints. SMPL's own files come as ``.npz`` or as pickles; pickles may hold code, so an unpickler reads them
that builds arrays and nothing else. The libraries some of them were pickled with are not needed.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rigs.errors import RigError
from rigs.skeleton import SMPL_JOINT_NAMES

FORMAT: Final = "mocap-studio body"
"""Name in the key ``format`` of our own files."""
VERSION: Final = 1
"""The newest version of our own files that is read."""

_NEEDED = ("v_template", "shapedirs", "J_regressor", "weights", "f", "kintree_table")
_SMPLX_JOINTS, _SMPLX_SMALL, _SMPLX_LARGE = 55, 10, 300
_MOST_BETAS = 16
"""Coefficients of a foreign body that are used: those after it move the skin by a millimetre or two."""
_FINGERS = tuple(
    f"{side}_{finger}{part}"
    for side in ("left", "right")
    for finger in ("index", "middle", "pinky", "ring", "thumb")
    for part in (1, 2, 3)
)
_JOINT_NAMES: Final[dict[int, tuple[str, ...]]] = {
    24: SMPL_JOINT_NAMES,
    52: (*SMPL_JOINT_NAMES[:22], *_FINGERS),
    55: (*SMPL_JOINT_NAMES[:22], "jaw", "left_eye_smplhf", "right_eye_smplhf", *_FINGERS),
}


@dataclass(frozen=True)
class BodyArrays:
    """What a body file holds, as float64 and int64 arrays; missing parts are empty."""

    arrays: Mapping[str, NDArray[Any]]
    """v_template (V, 3), shapedirs (V, 3, B), J_regressor (J, V), weights (V, J), f (F, 3), parents (J,)."""
    joint_names: tuple[str, ...]
    """J names."""
    keypoint_names: tuple[str, ...] = ()
    """K names of keypoints on the surface."""
    posedirs: NDArray[np.float64] | None = None
    """(V, 3, 9 (J - 1)) pose corrections, absent where all are zero."""
    metadata: str = ""
    """Origin and licence, as the file tells them."""


def read_body(path: Path) -> BodyArrays:
    """Read a body file.

    Args:
        path: ``.npz`` (ours or the SMPL family's) or ``.pkl`` (the SMPL family's).

    Raises:
        RigError: no such file, a damaged one, one that is no body, or one of a newer version.
    """
    if not path.is_file():
        raise RigError(f"no body file {path}; give 'default' or the path of an SMPL .npz or .pkl file")
    content = _read_npz(path) if zipfile.is_zipfile(path) else _read_pickle(path)
    missing = [name for name in _NEEDED if name not in content]
    if missing:
        raise RigError(f"{path} is no body file: it has no {', '.join(missing)}")
    version = int(content.get("version", 1)) if "format" in content else 1
    if version > VERSION:
        raise RigError(
            f"{path} has version {version}, this program reads up to {VERSION}; update the program"
        )
    try:
        return _body_arrays(content)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise RigError(f"{path} is no body file that can be used: {error}") from error


def _body_arrays(content: Mapping[str, Any]) -> BodyArrays:
    """The parts of a body from the raw content of a file of any of the formats."""
    floats = {name: _dense(content[name]) for name in ("v_template", "shapedirs", "J_regressor", "weights")}
    # 2**32 - 1 stands for "no parent" in some files: read as signed 32 bits it is -1
    parents = (
        np.asarray(content["kintree_table"])[0]
        .astype(np.int64)
        .astype(np.uint32)
        .astype(np.int32)
        .astype(np.int64)
    )
    parents[0] = -1
    floats["shapedirs"] = _shape_part(floats["shapedirs"], len(parents), "format" in content)
    arrays: dict[str, NDArray[Any]] = {
        **floats,
        "f": np.asarray(content["f"]).astype(np.int64),
        "parents": parents,
    }
    num_joints = len(parents)
    if "joint_names" in content:
        names = tuple(str(name) for name in content["joint_names"])
    elif num_joints in _JOINT_NAMES:
        names = _JOINT_NAMES[num_joints]
    else:
        raise ValueError(f"{num_joints} joints without names; SMPL has 24, SMPL-H 52, SMPL-X 55")
    keypoints = tuple(str(name) for name in content.get("keypoint_names", ()))
    if keypoints:
        arrays["keypoint_regressor"] = np.zeros((len(keypoints), len(floats["weights"])))
        place = (np.asarray(content["keypoint_row"]), np.asarray(content["keypoint_vertex"]))
        arrays["keypoint_regressor"][place] = np.asarray(content["keypoint_weight"])
    posedirs = _dense(content["posedirs"]) if "posedirs" in content else None
    if posedirs is not None and not posedirs.any():
        posedirs = None
    return BodyArrays(arrays, names, keypoints, posedirs, str(content.get("metadata", "")))


def _shape_part(shapedirs: NDArray[np.float64], num_joints: int, ours: bool) -> NDArray[np.float64]:
    """The coefficients of the shape, without SMPL-X's of the face, and no more than say anything.

    SMPL-X has ten of the shape and ten of the face behind them, or three hundred and a hundred.
    """
    if ours:
        return shapedirs
    count = shapedirs.shape[-1]
    if num_joints == _SMPLX_JOINTS:
        count = _SMPLX_LARGE if count > _SMPLX_LARGE else min(count, _SMPLX_SMALL)
    return shapedirs[..., : min(count, _MOST_BETAS)]


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            content: dict[str, Any] = {}
            for name in file.files:
                try:
                    content[name] = file[name]
                except ValueError:
                    continue  # an array of Python objects: some SMPL files carry one that nobody needs
            return content
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise RigError(f"{path} is damaged or no body file: {error}") from error


class _Inert:
    """Stands for every class of a foreign library: keeps the state it is given and does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _ArrayUnpickler(pickle.Unpickler):
    """Builds numpy arrays; the sparse matrices of SciPy and the arrays of chumpy become inert holders."""

    _ALLOWED: Final = {
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
        # how old protocols begin any object; its class still has to pass here
        ("copy_reg", "_reconstructor"),
        ("copyreg", "_reconstructor"),
        ("__builtin__", "object"),
        ("builtins", "object"),
        *(
            (f"numpy.{core}.multiarray", name)
            for core in ("core", "_core")
            for name in ("_reconstruct", "scalar")
        ),
        *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    }

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) in self._ALLOWED:
            return super().find_class(module_name, global_name)
        if module_name.split(".", maxsplit=1)[0] in ("scipy", "chumpy"):
            return _Inert
        raise pickle.UnpicklingError(
            f"the file wants to build {module_name}.{global_name}, which is not allowed"
        )


def _read_pickle(path: Path) -> dict[str, Any]:
    try:
        # SMPL's files were written by Python 2, hence the encoding
        content = _ArrayUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except Exception as error:  # a damaged pickle can fail in any way
        raise RigError(f"{path} is damaged or no body file: {error}") from error
    if not isinstance(content, dict):
        raise RigError(f"{path} is no body file: it holds a {type(content).__name__}, not a table of arrays")
    return {str(name): value for name, value in content.items()}


def _dense(value: Any) -> NDArray[np.float64]:
    """An array from what a file holds: an array, a sparse matrix's parts, or chumpy's wrapping of one."""
    if isinstance(value, _Inert):
        state = value.state if isinstance(value.state, dict) else {}
        if {"data", "indices", "indptr"} <= state.keys():
            return _from_compressed(state)
        if "x" in state:
            return _dense(state["x"])
        raise ValueError(f"an object with {sorted(state)} where an array should be")
    return np.asarray(value, dtype=np.float64)


def _from_compressed(state: Mapping[str, Any]) -> NDArray[np.float64]:
    """A dense matrix from the parts of a compressed sparse one (columns, as SMPL's, or rows)."""
    shape = tuple(state.get("_shape", state.get("shape", ())))
    indptr, indices = np.asarray(state["indptr"]), np.asarray(state["indices"])
    major = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    dense = np.zeros(shape)
    by_columns = len(indptr) - 1 == shape[1]
    dense[(indices, major) if by_columns else (major, indices)] = np.asarray(state["data"])
    return dense
