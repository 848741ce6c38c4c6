"""AlphaPose: one JSON file a clip, people listed one after the other with the name of their image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mocap.errors import InputError
from mocap.importers.frames import split_number
from mocap.importers.text_files import read_json
from mocap.importers.view import Options, View, build_view, names_for, triples
from mocap.keypoints import FloatArray


def kind(path: Path) -> str | None:
    """``clip`` if a file is AlphaPose's list: its image_id is the image's name."""
    if path.suffix != ".json":
        return None
    content = read_json(path)
    if not isinstance(content, list) or not content or not isinstance(content[0], dict):
        return None
    first = content[0]
    return "clip" if isinstance(first.get("image_id"), str) and "keypoints" in first else None


def read(camera: str, files: Sequence[Path], options: Options) -> list[View]:
    """The people of each image; the number in the image's name is the frame's."""
    (path,) = files
    people: dict[int, list[FloatArray]] = {}
    for index, entry in enumerate(read_json(path)):
        where = f"{path}, entry {index}"
        if not isinstance(entry, dict) or "image_id" not in entry:
            raise InputError("is no person of AlphaPose's", where=where)
        number = split_number(Path(str(entry["image_id"])).stem)[1]
        if number is None:
            raise InputError(f"image {entry['image_id']!r} has no number", where=where)
        people.setdefault(number, []).append(triples(entry.get("keypoints"), where))
    count = max((len(person) for row in people.values() for person in row), default=17)
    return [build_view(camera, people, names_for(count, options, str(path)))]
