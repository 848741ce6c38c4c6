from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters import ExportError
from exporters.fbx.binary import Node, array, decode, encode, f64, flag, i32, i64, raw, text

TREE = [
    Node("Empty"),
    Node("Scope", scope=True),
    Node(
        "Everything",
        (i32(-7), i64(2**40), f64(0.1), flag(True), text("Hüfte"), raw(b"\x00\xff")),
        (Node("Inner", (text("a"),), (Node("Innermost", (i32(1),)),)),),
        scope=True,
    ),
    Node("Short", (array(np.arange(3), "i"), array(np.array([0.5]), "f"))),
    Node("Long", (array(np.linspace(0, 1, 1000), "d"), array(np.arange(1000), "l"))),
]


def plain(node: Node) -> object:
    values = [
        (code, value if isinstance(value, bytes) else np.asarray(value).tolist())
        for code, value in node.properties
    ]
    return node.name, values, [plain(child) for child in node.children], node.scope or bool(node.children)


def same(left: list[Node], right: list[Node]) -> bool:
    return [plain(node) for node in left] == [plain(node) for node in right]


@pytest.mark.parametrize("version", [7400, 7500, 7700])
def test_what_is_written_is_read(version: int) -> None:
    data = encode(TREE, version)
    found, nodes = decode(data)
    assert found == version
    assert same(nodes, TREE)


def test_long_arrays_are_packed() -> None:
    zeros = encode([Node("Zeros", (array(np.zeros(10_000), "d"),))], 7400)
    assert len(zeros) < 1000


@pytest.mark.parametrize("extra", range(16))
def test_the_footer_ends_on_a_multiple_of_sixteen(extra: int) -> None:
    data = encode([Node("N" * (1 + extra))], 7400)
    assert (len(data) - 4 - 120 - 16) % 16 == 0
    assert data[-16:] == bytes.fromhex("f85a8c6adef5d97eece90ce3758f290b")
    assert struct.unpack("<I", data[-140:-136])[0] == 7400
    padding = len(data) - 140 - data.rindex(bytes.fromhex("fabcab09d0c8d466b176fb831cf7267e")) - 20
    assert 1 <= padding <= 16


@pytest.mark.parametrize("end", [5, 26, 40, 100, 300, -140])
def test_a_file_that_was_cut_off(end: int) -> None:
    data = encode(TREE, 7400)
    if end < 0:
        _, nodes = decode(data[:end])  # only the footer is missing, and nobody needs it
        assert same(nodes, TREE)
        return
    with pytest.raises(ExportError, match="FBX"):
        decode(data[:end])


def test_a_text_file_is_named() -> None:
    with pytest.raises(ExportError, match="text FBX"):
        decode(b"; FBX 7.3.0 project file\nFBXHeaderExtension:  {\n}")
    with pytest.raises(ExportError, match="no FBX file"):
        decode(b"\x89PNG")


def test_a_bomb_is_not_unpacked() -> None:
    import zlib

    packed = zlib.compress(bytes(50_000_000))
    bomb = b"d" + struct.pack("<III", 2, 1, len(packed)) + packed
    good = encode([Node("A", (array(np.zeros(2), "d"),))], 7400)
    head = good[:27]
    node = struct.pack("<IIIB", 27 + 13 + 1 + len(bomb), 1, len(bomb), 1) + b"A" + bomb
    with pytest.raises(ExportError, match="has not the size"):
        decode(head + node + bytes(13))


@given(st.data())
def test_broken_files_never_crash_the_reader(data: st.DataObject) -> None:
    whole = bytearray(encode(TREE[:4], 7400))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(bytes(whole))
    except ExportError as error:
        assert str(error)


@pytest.mark.parametrize(
    "name",
    [
        "maya_character_7500_binary.fbx",
        "maya_human_ik_7400_binary.fbx",
        "motionbuilder_actor_7700_binary.fbx",
        "blender_279_bone_radius_7400_binary.fbx",
    ],
)
def test_files_of_other_programs(name: str, test_data: Path) -> None:
    data = (test_data / "fbx_ufbx" / name).read_bytes()
    version, nodes = decode(data)
    assert {"GlobalSettings", "Objects", "Connections"} <= {node.name for node in nodes}
    assert same(decode(encode(nodes, version))[1], nodes)
