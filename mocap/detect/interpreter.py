"""TFLite networks through LiteRT, one thread each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocap.errors import InputError


class Network:
    """A network with one image input and float outputs.

    Args:
        path: the tflite file.
        outputs: shapes, without the batch axis, of the outputs to return; they must be told apart by it.
        first: of several outputs of one shape the first is meant.
    """

    def __init__(self, path: Path, outputs: tuple[tuple[int, ...], ...], *, first: bool = False) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            # Cameras run side by side: a second thread inside a network would gain next to nothing.
            self._interpreter: Any = Interpreter(model_path=str(path), num_threads=1)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            what, todo = (
                "this is no network that LiteRT can run",
                "add the right file with: mocap models add NAME FILE",
            )
            raise InputError(what, where=path, todo=todo) from error
        self._input = self._interpreter.get_input_details()[0]["index"]
        details = self._interpreter.get_output_details()
        listed = reversed(details) if first else details
        by_shape = {tuple(int(n) for n in out["shape"][1:]): out for out in listed}
        missing = [shape for shape in outputs if shape not in by_shape]
        if missing:
            raise InputError(
                f"the network has no output of shape {missing[0]}; it has {sorted(by_shape)}",
                where=path,
                todo="add the right file with: mocap models add NAME FILE",
            )
        self._outputs = [by_shape[shape]["index"] for shape in outputs]

    def __call__(self, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """The outputs, without the batch axis, for one image (H, W, 3)."""
        self._interpreter.set_tensor(self._input, image[None])
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index)[0] for index in self._outputs]
