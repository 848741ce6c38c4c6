"""Objects of an FBX scene and how they hang together: ids, properties, connections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from exporters.fbx.binary import Node, Property, f64, i32, i64, object_name, text

TICKS_PER_SECOND = 46186158000
"""FBX counts time in these."""
_FIRST_ID = 1_000_000
"""Any unique number does; 0 is the scene itself."""


def ticks(seconds: float) -> int:
    """A time in FBX's unit, to the nearest tick."""
    return round(seconds * TICKS_PER_SECOND)


def p(name: str, kind: str, label: str, flags: str, *values: Property) -> Node:
    """One entry of a ``Properties70`` list."""
    return Node("P", (text(name), text(kind), text(label), text(flags), *values))


def number(name: str, value: float, flags: str = "") -> Node:
    """A double among the properties."""
    return p(name, "double", "Number", flags, f64(value))


def integer(name: str, value: int) -> Node:
    """An integer among the properties."""
    return p(name, "int", "Integer", "", i32(value))


def enum(name: str, value: int) -> Node:
    """A choice among the properties."""
    return p(name, "enum", "", "", i32(value))


def time(name: str, seconds: float) -> Node:
    """A time among the properties."""
    return p(name, "KTime", "Time", "", i64(ticks(seconds)))


def string(name: str, value: str, flags: str = "") -> Node:
    """A text among the properties."""
    return p(name, "KString", "", flags, text(value))


def vector(name: str, kind: str, flags: str, xyz: Sequence[float]) -> Node:
    """Three numbers among the properties, such as ``Lcl Translation``."""
    return p(name, kind, "", flags, *(f64(float(value)) for value in xyz))


def properties(*entries: Node) -> Node:
    """The ``Properties70`` list."""
    return Node("Properties70", (), entries, scope=True)


@dataclass
class Scene:
    """Objects and connections as they are added; the order is kept, so the same input gives the same file."""

    objects: list[Node] = field(default_factory=list[Node])
    """The objects."""
    connections: list[Node] = field(default_factory=list[Node])
    """What hangs on what."""

    def add(
        self, kind: str, name: str, of_class: str, subtype: str, *children: Node, scope: bool = False
    ) -> int:
        """Add an object and return its id.

        Args:
            kind: the node's name, such as ``Model``.
            name: the object's name.
            of_class: the class in the name, such as ``Model`` or ``SubDeformer``.
            subtype: such as ``LimbNode``.
            children: what it holds.
            scope: whether the list of children is closed even if it is empty.
        """
        ident = _FIRST_ID + len(self.objects)
        head = (i64(ident), object_name(name, of_class), text(subtype))
        self.objects.append(Node(kind, head, children, scope))
        return ident

    def connect(self, child: int, parent: int, channel: str = "") -> None:
        """Hang one object on another, or on a property of it."""
        link = (text("OP" if channel else "OO"), i64(child), i64(parent))
        self.connections.append(Node("C", link + ((text(channel),) if channel else ())))

    def definitions(self) -> Node:
        """How many objects of each kind there are; Autodesk's SDK sees none without it."""
        counts = Counter(node.name for node in self.objects)
        counts["GlobalSettings"] = 1
        types = [
            Node("ObjectType", (text(kind),), (Node("Count", (i32(count),)),))
            for kind, count in sorted(counts.items())
        ]
        head = (Node("Version", (i32(100),)), Node("Count", (i32(sum(counts.values())),)))
        return Node("Definitions", (), (*head, *types))
