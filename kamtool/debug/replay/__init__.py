"""Recorded messages once more, offline: on the same cfg byte for byte, on another to see what changes."""
