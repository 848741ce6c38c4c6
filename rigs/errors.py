"""Errors of the rigs package."""


class RigError(Exception):
    """A body, skeleton or motion that cannot be used; the message says what, where, what to do."""
