"""Cameras from views of a board: first poses, one adjustment of everything, and what it is worth."""
