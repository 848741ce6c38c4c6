"""The virtual studio: multi-camera footage with exact truth.

``studio.Studio`` holds cameras, room, people, board and faults as parameters; ``film.film`` makes clips of
it, ``film.write_truth`` the truth, ``compare`` measures a result, and ``demo.demo`` does all of it.
"""
