"""Classic BPF for tc: which frames belong to one share of all flows.

A frame's flow is its IP addresses, and its ports if it is unfragmented TCP or UDP; without IP, its
MAC addresses. The kernel has taken off a VLAN tag before the program sees the frame.
"""

from __future__ import annotations

_OPCODES = {
    "word": 0x20, "half": 0x28, "byte": 0x30, "word_x": 0x40, "load": 0x60, "load_x": 0x61,
    "ipv4_length_x": 0xB1, "store": 0x02, "a_to_x": 0x07, "xor_x": 0xAC,
    "shift": 0x74, "modulo": 0x94, "goto": 0x05, "equal": 0x15, "bits": 0x45, "return": 0x06,
}  # fmt: skip

# operation, operand, label if true, label if false; "x" is BPF's second register.
_SHARE = """
        half 12
        equal 0x0800 ipv4 -
        equal 0x86dd ipv6 -
        word 2
        a_to_x
        word 8
        xor_x
        goto mix
ipv6:   word 34
        a_to_x
        word 50
        xor_x
        store 0
        byte 20
        equal 6 ports6 -
        equal 17 ports6 no_ports
ports6: word 54
        goto add
ipv4:   word 26
        a_to_x
        word 30
        xor_x
        store 0
        half 20
        bits 0x3fff no_ports -
        byte 23
        equal 6 ports4 -
        equal 17 ports4 no_ports
ports4: ipv4_length_x 14
        word_x 14
add:    load_x 0
        xor_x
        goto mix
no_ports: load 0
mix:    a_to_x
        shift 16
        xor_x
        a_to_x
        shift 8
        xor_x
        modulo {shares}
        equal {number} yes no
yes:    return 0xffffffff
no:     return 0
"""


def everything() -> str:
    """A program that matches every frame, as tc takes it."""
    return _assemble("return 0xffffffff")


def share(number: int, shares: int) -> str:
    """A program that matches the frames of share ``number`` of ``shares``, counted from 0."""
    return _assemble(_SHARE.format(number=number, shares=shares))


def _assemble(text: str) -> str:
    """Number of instructions, then each as opcode, two jump distances and operand."""
    labels: dict[str, int] = {}
    lines: list[list[str]] = []
    for line in text.strip().splitlines():
        label, _, code = line.rpartition(":")
        labels[label.strip()] = len(lines)
        lines.append(code.split())
    return f"{len(lines)}," + ",".join(
        _instruction(number, words, labels) for number, words in enumerate(lines)
    )


def _instruction(number: int, words: list[str], labels: dict[str, int]) -> str:
    def distance(label: str) -> int:
        return 0 if label == "-" else labels[label] - number - 1

    operation, operand, *targets = [*words, "0"][: max(2, len(words))]
    yes, no = (distance(target) for target in [*targets, "-", "-"][:2])
    value = distance(operand) if operation == "goto" else int(operand, 0)
    return f"{_OPCODES[operation]} {yes} {no} {value}"
