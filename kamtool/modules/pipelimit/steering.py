"""FEEDBACK's controller over RPC: what pipelimit and ratelimit do alike."""

from __future__ import annotations

from kamtool.errors import RpcError
from kamtool.modules.pipelimit.pipes import Control


def tune(control: Control, ki: str, kp: str, kd: str) -> None:
    """Set the constants. Raises RpcError."""
    try:
        control.ki, control.kp, control.kd = float(ki), float(kp), float(kd)
    except ValueError as error:
        raise RpcError(400, str(error)) from error


def push_load(control: Control, load: str) -> None:
    """Say the load of the CPU. Raises RpcError."""
    try:
        value = float(load)
    except ValueError as error:
        raise RpcError(400, str(error)) from error
    if not 0.0 <= value <= 1.0:
        raise RpcError(400, "the load should be between 0.0 and 1.0")
    control.load = value
