"""ONNX networks through ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocap.detect.network import VALUE_TYPES, Outputs, image_input
from mocap.errors import InputError

PROVIDERS = (
    *("CUDAExecutionProvider", "CoreMLExecutionProvider", "DmlExecutionProvider"),
    "CPUExecutionProvider",
)
"""ONNX Runtime's executors, fastest first; those that this machine's build has are used."""


def accelerated() -> bool:
    """Whether this machine's ONNX Runtime has an executor beside the processor."""
    import onnxruntime

    return bool(set(PROVIDERS[:-1]) & set(onnxruntime.get_available_providers()))


class OnnxNetwork:
    """A network with one image input.

    Args:
        path: the ONNX file.

    Raises:
        InputError: ONNX Runtime cannot load it, or it does not take one image.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        self.path = path
        options = onnxruntime.SessionOptions()
        # Cameras run side by side: a second thread inside a network would gain next to nothing.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong comes as an exception
        present = onnxruntime.get_available_providers()
        providers = [name for name in PROVIDERS if name in present]
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # ONNX Runtime's errors have no base of their own
            raise InputError(
                "this is no network that ONNX Runtime can run",
                where=path,
                todo="export it to ONNX again, and add it with: mocap models add NAME FILE",
            ) from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            names = ", ".join(node.name for node in inputs) or "nothing"
            raise InputError(
                f"a network that takes one image was expected; this one takes {names}", where=path
            )
        shape = [size if isinstance(size, int) and size > 0 else None for size in inputs[0].shape]
        kind = VALUE_TYPES.get(inputs[0].type.removeprefix("tensor(").removesuffix(")"))
        self._name = inputs[0].name
        self.input = image_input(self._name, shape, kind, path)

    def __call__(self, images: NDArray[Any]) -> Outputs:
        """All outputs for images (N, H, W, 3), which are already normalised."""
        if self.input.batch is not None and self.input.batch != len(images):
            parts = [self._run(image[None]) for image in images]
            return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]
        return self._run(images)

    def _run(self, images: NDArray[Any]) -> Outputs:
        tensor = images.transpose(0, 3, 1, 2) if self.input.channels_first else images
        tensor = tensor if self.input.batched else tensor[0]
        tensor = np.ascontiguousarray(tensor, dtype=self.input.dtype)
        try:
            outputs = self._session.run(None, {self._name: tensor})
        except Exception as error:
            line = " ".join(str(error).split())[:160]
            what = f"the network fails on an image of shape {tensor.shape} ({line})"
            raise InputError(what, where=self.path) from error
        return [np.asarray(output) for output in outputs]
