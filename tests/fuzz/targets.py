"""The targets by name."""

from importlib import import_module
from types import ModuleType

TARGETS = (
    "message", "kernel", "scanners", "uri", "addresses", "digest", "sdp", "framing",
    "hello", "websocket", "http", "jsonrpc", "binrpc", "cfg", "hep", "capture", "stun", "bencode",
    "hiding",
)  # fmt: skip


def module_of(target: str) -> ModuleType:
    return import_module(f"tests.fuzz.{target}")
