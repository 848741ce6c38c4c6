"""The binary container of FBX: a tree of named nodes with typed properties, and nothing of what they mean.

Layout after the Blender Foundation's public-domain description of 2013; which constants readers check was
measured with Autodesk's SDK 2019.2, ufbx, Blender, three.js and Assimp.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from exporters.errors import ExportError

FILE_ID: Final = bytes.fromhex("28b32aebb624ccc2bfc8b02aa92bfcf1")
CREATION_TIME: Final = "1970-01-01 10:00:00:000"
_FOOTER_ID: Final = bytes.fromhex("fabcab09d0c8d466b176fb831cf7267e")
"""These three belong together: Autodesk's SDK opens an empty scene where one of them is another."""

_MAGIC: Final = b"Kaydara FBX Binary  \x00\x1a\x00"
_FOOTER_MAGIC: Final = bytes.fromhex("f85a8c6adef5d97eece90ce3758f290b")
_WIDE: Final = 7500
"""From this version on, the lengths in a node's head take eight bytes."""
_WORTH_PACKING: Final = 128
"""Bytes of an array from which on it is compressed."""
_ARRAY_CODES: Final = {"f": "<f4", "d": "<f8", "l": "<i8", "i": "<i4", "b": "<i1"}
_SCALAR_CODES: Final = {"Y": "<h", "C": "<?", "I": "<i", "F": "<f", "D": "<d", "L": "<q"}
_DEEPEST: Final = 64

Property = tuple[str, Any]
"""Type code and value, as the helpers below make them."""


@dataclass(frozen=True)
class Node:
    """One node of the tree."""

    name: str
    """At most 255 bytes."""
    properties: tuple[Property, ...] = ()
    """Its values, in order."""
    children: tuple[Node, ...] = ()
    """Nodes inside it."""
    scope: bool = False
    """Write the end of a list even without children, as readers demand of some nodes."""

    def find(self, name: str) -> Node | None:
        """The first child of a name."""
        return next((child for child in self.children if child.name == name), None)

    def all(self, name: str) -> list[Node]:
        """Every child of a name."""
        return [child for child in self.children if child.name == name]

    @property
    def values(self) -> list[Any]:
        """The properties without their type codes."""
        return [value for _, value in self.properties]


def i32(value: int) -> Property:
    """A 32-bit integer."""
    return "I", value


def i64(value: int) -> Property:
    """A 64-bit integer: ids and times."""
    return "L", value


def f64(value: float) -> Property:
    """A double."""
    return "D", value


def flag(value: bool) -> Property:
    """A boolean of one byte."""
    return "C", value


def text(value: str) -> Property:
    """A string."""
    return "S", value.encode()


def raw(value: bytes) -> Property:
    """Bytes."""
    return "R", value


def object_name(name: str, kind: str) -> Property:
    """The name of an object, with its class behind it as binary files have it."""
    return "S", name.encode() + b"\x00\x01" + kind.encode()


def array(values: NDArray[Any], code: str) -> Property:
    """An array: code ``f``, ``d``, ``l`` or ``i``."""
    return code, np.ascontiguousarray(values, dtype=_ARRAY_CODES[code]).ravel()


def encode(nodes: Sequence[Node], version: int) -> bytes:
    """A whole file.

    Args:
        nodes: the top level, in order.
        version: 7400, or 7500 and later.

    Raises:
        ExportError: more than the 4 GiB that version 7400 can address.
    """
    parts = bytearray(_MAGIC + struct.pack("<I", version))
    for node in nodes:
        _write(parts, node, version)
    parts += bytes(_head_size(version))
    parts += _FOOTER_ID + bytes(4)
    parts += bytes(16 - len(parts) % 16)
    parts += struct.pack("<I", version) + bytes(120) + _FOOTER_MAGIC
    if version < _WIDE and len(parts) > 0xFFFFFFFF:
        raise ExportError("more than 4 GiB of FBX; export a shorter range, or with version=7500")
    return bytes(parts)


def _head_size(version: int) -> int:
    return 25 if version >= _WIDE else 13


def _write(parts: bytearray, node: Node, version: int) -> None:
    start = len(parts)
    name = node.name.encode()
    properties = b"".join(_property(code, value) for code, value in node.properties)
    pattern = "<QQQB" if version >= _WIDE else "<IIIB"
    parts += bytes(_head_size(version)) + name + properties
    for child in node.children:
        _write(parts, child, version)
    if node.children or node.scope:
        parts += bytes(_head_size(version))
    head = struct.pack(pattern, len(parts), len(node.properties), len(properties), len(name))
    parts[start : start + len(head)] = head


def _property(code: str, value: Any) -> bytes:
    if code in _SCALAR_CODES:
        return code.encode() + struct.pack(_SCALAR_CODES[code], value)
    if code in "SR":
        return code.encode() + struct.pack("<I", len(value)) + value
    data = value.tobytes()
    packed = zlib.compress(data, 6) if len(data) >= _WORTH_PACKING else data
    encoding = int(len(data) >= _WORTH_PACKING)
    return code.encode() + struct.pack("<III", len(value), encoding, len(packed)) + packed


def decode(data: bytes) -> tuple[int, list[Node]]:
    """Version and top-level nodes of a file; the inverse of ``encode``.

    Raises:
        ExportError: no binary FBX, or a broken one; the message says where.
    """
    if not data.startswith(_MAGIC[:20]):
        kind = "a text FBX" if b"FBXHeaderExtension" in data[:4096] else "no FBX file"
        raise ExportError(f"this is {kind}; save it as binary FBX")
    if len(data) < 27:
        raise ExportError("this FBX file ends in its head; it was cut off")
    version = struct.unpack_from("<I", data, 23)[0]
    try:
        nodes, _ = _read_list(data, 27, len(data), version, 0)
    except (struct.error, zlib.error, ValueError, UnicodeDecodeError) as error:
        raise ExportError(f"this FBX file is broken: {error}") from error
    return version, nodes


def _read_list(data: bytes, at: int, end: int, version: int, depth: int) -> tuple[list[Node], int]:
    """Nodes up to the empty head that ends a list, or to the end of the parent."""
    if depth > _DEEPEST:
        raise ExportError(f"this FBX file is broken: nodes nest deeper than {_DEEPEST} at byte {at}")
    nodes: list[Node] = []
    size = _head_size(version)
    while at < end:
        if not any(data[at : at + size]):
            return nodes, at + size
        node, at = _read(data, at, end, version, depth)
        nodes.append(node)
    return nodes, at


def _read(data: bytes, at: int, end: int, version: int, depth: int) -> tuple[Node, int]:
    pattern = "<QQQB" if version >= _WIDE else "<IIIB"
    stop, count, length, name_length = struct.unpack_from(pattern, data, at)
    inner = at + struct.calcsize(pattern)
    if not inner + name_length + length <= stop <= end:
        raise ExportError(f"this FBX file is broken: the node at byte {at} ends at {stop} of {end}")
    name = data[inner : inner + name_length].decode("utf-8", "replace")
    inner += name_length
    properties: list[Property] = []
    position = inner
    for _ in range(count):
        if position >= inner + length:
            raise ExportError(f"this FBX file is broken: properties of {name!r} run over at byte {position}")
        item, position = _read_property(data, position, inner + length)
        properties.append(item)
    inner += length
    children, _ = _read_list(data, inner, stop, version, depth + 1) if inner < stop else ([], inner)
    return Node(name, tuple(properties), tuple(children), scope=inner < stop), stop


def _read_property(data: bytes, at: int, end: int) -> tuple[Property, int]:
    code = chr(data[at])
    at += 1
    if code in _SCALAR_CODES:
        size = struct.calcsize(_SCALAR_CODES[code])
        return (code, struct.unpack_from(_SCALAR_CODES[code], data, at)[0]), at + size
    if code in "SR":
        length = struct.unpack_from("<I", data, at)[0]
        if at + 4 + length > end:
            raise ExportError(f"this FBX file is broken: a string at byte {at} is longer than its node")
        return (code, data[at + 4 : at + 4 + length]), at + 4 + length
    if code not in _ARRAY_CODES:
        raise ExportError(f"this FBX file is broken: property type {code!r} at byte {at - 1}")
    count, encoding, length = struct.unpack_from("<III", data, at)
    at += 12
    if at + length > end:
        raise ExportError(f"this FBX file is broken: an array at byte {at} is longer than its node")
    size = count * int(_ARRAY_CODES[code][2])
    stored = data[at : at + length]
    # No more than was announced: a few bytes can unpack to gigabytes.
    content = zlib.decompressobj().decompress(stored, size + 1) if encoding else stored
    if len(content) != size:
        raise ExportError(f"this FBX file is broken: an array at byte {at} has not the size that it says")
    return (code, np.frombuffer(content, dtype=_ARRAY_CODES[code])), at + length
