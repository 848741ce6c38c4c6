"""Errors of the exporters package."""


class ExportError(Exception):
    """A take that a format cannot hold, or an unknown format; the message says what, where, what to do."""
