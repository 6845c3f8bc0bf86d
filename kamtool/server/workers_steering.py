"""The kernel gives a datagram to the worker that it is for, where it can: no hop from one to the other.

Sockets that share a port (SO_REUSEPORT) may have a program that chooses among them: classic BPF, which any
user may attach, JITed by the kernel. It knows no loops, hence the search is written out: for the branch of
our Via in a response, for `Call-ID:` in a request. What it does not find (a compact `i:`, a header far down)
falls to the kernel's own choice by the sender's address, and then to `Dispatch`, which looks at every message
and is right without this.
"""

from __future__ import annotations

import ctypes
import logging
import platform
import socket as sockets
import struct
from contextlib import suppress

log = logging.getLogger("kamtool.workers")

SO_ATTACH_REUSEPORT_CBPF = 51
SUMMED = 48
"""So many octets of a Call-ID choose the worker."""
NOBODY = 0xFFFFFFFF
"""No socket's number: the kernel chooses by the sender's address."""
BRANCH_AT = range(30, 254)
CALL_ID_AT = range(24, 600, 4)
BLOCK = 8
"""Places that are looked at before the length is looked at again."""
STAYING = (b"REGI", b"OPTI", b"PUBL")

# linux/filter.h: what an instruction does.
_LD_W, _LD_LEN, _LD_W_IND, _LD_B_IND, _LD_MEM = 0x20, 0x80, 0x40, 0x50, 0x60
_LDX_IMM, _LDX_MEM, _ST, _TAX, _TXA = 0x01, 0x61, 0x02, 0x07, 0x87
_ADD_K, _ADD_X, _SUB_K, _OR_K, _LSH_K, _MOD_K = 0x04, 0x0C, 0x14, 0x44, 0x64, 0x94
_JA, _JEQ, _JGT, _JGE, _RET_K, _RET_A = 0x05, 0x15, 0x25, 0x35, 0x06, 0x16
_LOWER = 0x20202020

Instruction = tuple[int, int, int, int]


class Program:
    """Instructions, and jumps to labels that may come later."""

    def __init__(self) -> None:
        self._made: list[Instruction] = []
        self._labels: dict[str, int] = {}
        self._jumps: list[tuple[int, str]] = []

    def add(self, code: int, value: int = 0, yes: int = 0, no: int = 0) -> None:
        self._made.append((code, yes, no, value))

    def jump(self, label: str) -> None:
        """To a place further on, however far."""
        self._jumps.append((len(self._made), label))
        self.add(_JA)

    def label(self, name: str) -> None:
        self._labels[name] = len(self._made)

    def unless(self, code: int, value: int, label: str) -> None:
        """Jump unless the comparison holds."""
        self.add(code, value, yes=1, no=0)
        self.jump(label)

    def bytes(self) -> bytes:
        made = list(self._made)
        for place, label in self._jumps:
            made[place] = (_JA, 0, 0, self._labels[label] - place - 1)
        return b"".join(struct.pack("=HBBI", *each) for each in made)


def _word(text: bytes) -> int:
    return int.from_bytes(text, "big")


def _lower(text: bytes) -> int:
    return _word(text) | _LOWER


def steering(size: int, group_prefix: str, *, by_call_id: bool) -> bytes:
    """The program for so many workers, whose branches begin with `group_prefix` and the worker's number."""
    program = Program()
    program.add(_LD_LEN)
    program.unless(_JGE, BRANCH_AT.start + 32, "nobody")
    program.add(_LD_W, 0)
    program.unless(_JEQ, _word(b"SIP/"), "request")
    _find_branch(program, group_prefix.encode())
    program.label("request")
    if by_call_id:
        for start in STAYING:
            program.add(_JEQ, _word(start), yes=0, no=1)
            program.jump("nobody")
        _find_call_id(program, size)
    program.label("nobody")
    program.add(_RET_K, NOBODY)
    return program.bytes()


def _long_enough(program: Program, size: int) -> None:
    """What is read past the end would end the program with the number 0."""
    program.add(_LD_LEN)
    program.unless(_JGE, size, "nobody")


def _find_branch(program: Program, prefix: bytes) -> None:
    start = _word(prefix[:4])
    for place, at in enumerate(BRANCH_AT):
        if place % BLOCK == 0:
            _long_enough(program, at + BLOCK + len(prefix) + 2)
        program.add(_LD_W, at)
        program.add(_JEQ, start, yes=0, no=2)
        program.add(_LDX_IMM, at)
        program.jump("branch")
    program.jump("nobody")
    program.label("branch")
    # z9hG4bK and six digits are ours, two more say which worker.
    for at in (len(prefix) - 8, len(prefix) - 4):
        program.add(_LD_W_IND, at)
        program.unless(_JEQ, _word(prefix[at : at + 4]), "nobody")
    _digit(program, len(prefix))
    program.add(_LSH_K, 4)
    program.add(_ST, 0)
    _digit(program, len(prefix) + 1)
    program.add(_LDX_MEM, 0)
    program.add(_ADD_X)
    program.add(_RET_A)


def _digit(program: Program, at: int) -> None:
    """A hexadecimal digit becomes its value."""
    program.add(_LD_B_IND, at)
    program.add(_JGE, ord("a"), yes=0, no=1)
    program.add(_SUB_K, ord("a") - ord("0") - 10)
    program.add(_SUB_K, ord("0"))


def _find_call_id(program: Program, size: int) -> None:
    """Every fourth place: one of four words of `\\nCall-ID` stands there, whichever way it lies."""
    name = b"\nCall-ID"
    for place, at in enumerate(CALL_ID_AT):
        if place % BLOCK == 0:
            _long_enough(program, at + 4 * BLOCK + 12)
        program.add(_LD_W, at)
        program.add(_OR_K, _LOWER)
        for shift in (0, 2, 3):
            program.add(_JEQ, _lower(name[shift : shift + 4]), yes=0, no=2)
            program.add(_LDX_IMM, at - shift)
            program.jump("name")
        # "call" is in many a URI: the search goes on unless the rest follows.
        program.add(_JEQ, _lower(b"Call"), yes=0, no=5)
        program.add(_LD_W, at + 4)
        program.add(_OR_K, _LOWER)
        program.add(_JEQ, _lower(b"-ID:"), yes=0, no=2)
        program.add(_LDX_IMM, at - 1)
        program.jump("name")
    program.jump("nobody")
    program.label("name")
    for at in (0, 4):
        program.add(_LD_W_IND, at)
        program.add(_OR_K, _LOWER)
        program.unless(_JEQ, _lower(name[at : at + 4]), "nobody")
    program.add(_LD_B_IND, 8)
    program.unless(_JEQ, ord(":"), "nobody")
    program.add(_LD_B_IND, 9)  # a space mostly
    program.add(_JEQ, ord(" "), yes=0, no=3)
    program.add(_TXA)
    program.add(_ADD_K, 1)
    program.add(_TAX)
    _sum(program, 9)
    program.add(_MOD_K, size)
    program.add(_RET_A)


def _sum(program: Program, start: int) -> None:
    """The octets from there to the end of the word."""
    program.add(0x00, 0)  # A = 0
    program.add(_ST, 0)
    program.add(0x03, 1)  # M[1] = X
    for at in range(start, start + SUMMED):
        program.add(_LD_B_IND, at)
        program.unless(_JGT, ord(" "), "summed")
        program.add(_TAX)
        program.add(_LD_MEM, 0)
        program.add(_ADD_X)
        program.add(_ST, 0)
        program.add(_LDX_MEM, 1)
    program.label("summed")
    program.add(_LD_MEM, 0)


def worker_of(call_id: bytes, size: int) -> int:
    """Whose a Call-ID is: what the program computes as well."""
    return sum(call_id[:SUMMED]) % size


def steer(bound: sockets.socket, size: int, group_prefix: str, *, by_call_id: bool) -> bool:
    """Attach it to the sockets that share a port, of which this is one; false where that cannot be.

    The kernels before 6.7 allow a program of 20 KB (net.core.optmem_max): there only responses are steered.
    """
    if platform.system() != "Linux":
        return False
    for with_requests in (True, False) if by_call_id else (False,):
        code = steering(size, group_prefix, by_call_id=with_requests)
        buffer = ctypes.create_string_buffer(code, len(code))
        filters = struct.pack("HP", len(code) // 8, ctypes.addressof(buffer))
        with suppress(OSError):
            bound.setsockopt(sockets.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, filters)
            return True
    log.debug("the kernel does not choose the worker of a datagram: messages hop")
    return False
