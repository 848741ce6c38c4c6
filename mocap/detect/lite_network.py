"""TFLite networks through LiteRT, for the families that come in this form too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocap.detect.network import Outputs, image_input
from mocap.errors import InputError


class LiteNetwork:
    """A network with one image input.

    Args:
        path: the tflite file.

    Raises:
        InputError: LiteRT cannot load it, or it does not take one image.
    """

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.path = path
        try:
            self._interpreter: Any = Interpreter(model_path=str(path), num_threads=1)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InputError(
                "this is no network that LiteRT can run",
                where=path,
                todo="add the right file with: mocap models add NAME FILE",
            ) from error
        given = self._interpreter.get_input_details()
        if len(given) != 1:
            raise InputError(
                f"a network that takes one image was expected; this one takes {len(given)} inputs", where=path
            )
        # In the signature a size that is left open is -1; in the shape it is 1.
        shape = [int(size) if size > 0 else None for size in given[0]["shape_signature"]]
        self.input = image_input(given[0]["name"], shape, given[0]["dtype"], path)
        self._slot = given[0]["index"]
        self._outputs = [detail["index"] for detail in self._interpreter.get_output_details()]

    def __call__(self, images: NDArray[Any]) -> Outputs:
        """All outputs for images (N, H, W, 3), which are already normalised."""
        parts = [self._run(image[None]) for image in images]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def _run(self, image: NDArray[Any]) -> Outputs:
        tensor = image.transpose(0, 3, 1, 2) if self.input.channels_first else image
        tensor = np.ascontiguousarray(tensor, dtype=self.input.dtype)
        try:
            if self.input.size_px is None:
                self._interpreter.resize_tensor_input(self._slot, tensor.shape)
                self._interpreter.allocate_tensors()
            self._interpreter.set_tensor(self._slot, tensor)
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            line = " ".join(str(error).split())[:160]
            what = f"the network fails on an image of shape {tensor.shape} ({line})"
            raise InputError(what, where=self.path) from error
        return [self._interpreter.get_tensor(index).copy() for index in self._outputs]
