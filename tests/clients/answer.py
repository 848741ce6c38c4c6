"""How the programs inside Blender's Python and ufbx's hand back what they read. Runs there: numpy alone.

An answer is NAME.json with names, rate and the shapes of the arrays, and NAME.f64 with the arrays one after
the other. A job is a JSON file: {"mode": ..., "files": [[source, target], ...]}.
"""

import json
import os
import sys

import numpy as np


def put(target, names, rate_hz, **arrays):
    """Write one answer."""
    shapes = {key: list(np.shape(value)) for key, value in arrays.items()}
    with open(target + ".f64", "wb") as stream:
        for value in arrays.values():
            stream.write(np.ascontiguousarray(value, dtype="<f8").tobytes())
    with open(target + ".json", "w", encoding="utf-8") as stream:
        json.dump({"names": names, "rate_hz": rate_hz, "arrays": shapes}, stream)


def answer_all(read, apart=False):
    """Read each file of the job that the command line names; what fails is told of that file alone.

    With ``apart``, each in a process of its own, which ends without letting go of anything.
    """
    with open(sys.argv[1], encoding="utf-8") as stream:
        job = json.load(stream)
    for source, target in job["files"]:
        child = os.fork() if apart else 0
        if child:
            os.waitpid(child, 0)
            continue
        try:
            names, rate_hz, arrays = read(source, job["mode"])
            put(target, names, rate_hz, **arrays)
        except Exception as error:  # a reader may fail in any way
            with open(target + ".json", "w", encoding="utf-8") as stream:
                json.dump({"error": f"{type(error).__name__}: {error}"}, stream)
        if apart:
            os._exit(0)
