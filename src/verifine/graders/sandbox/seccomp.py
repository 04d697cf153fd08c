"""From a list of allowed system calls to a filter program for the kernel (classic BPF).

An instruction is (code, jump if true, jump if false, constant). The program looks at the machine and the number of the
call, finds its place in a decision tree over all numbers, and where a call is allowed with certain arguments only,
looks at those too.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from verifine.graders.sandbox.syscalls import Machine

Instruction = tuple[int, int, int, int]


class Action(IntEnum):
    """What the kernel does with a call."""

    ALLOW = 0x7FFF0000
    REFUSE = 0x00050000 | 1
    """The call fails with EPERM."""
    ABSENT = 0x00050000 | 38
    """The call fails with ENOSYS, so that the C library falls back to an older one."""
    KILL = 0x80000000
    """The whole process ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """That `argument & mask` is one of `values`; the argument is taken as 64 bits only where the mask is that wide."""

    argument: int
    values: tuple[int, ...]
    mask: int = 0xFFFFFFFF


Rule = tuple[Condition, ...] | Action
"""When a call is allowed (all conditions hold; none: always), or what happens to it whatever its arguments."""

_LOAD, _AND, _EQUAL, _AT_LEAST, _JUMP, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x05, 0x06
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16
_WORD_BYTES, _WORD = 4, 0xFFFFFFFF
_MAX_SKIP = 255


def assemble_filter(machine: Machine, rules: Mapping[str, Rule]) -> bytes:
    """The program. Calls without a rule are refused, and those that this machine lacks are passed over.

    Numbers above all that have a rule are absent: newer than this list, or of another calling convention (x32).
    """
    numbered = {machine.numbers[name]: rule for name, rule in rules.items() if name in machine.numbers}
    starts, blocks = _segments(numbered)
    program = [
        (_LOAD, 0, 0, _MACHINE),
        (_EQUAL, 1, 0, machine.audit),
        (_RETURN, 0, 0, Action.KILL),
        (_LOAD, 0, 0, _NUMBER),
        *_tree(starts, blocks),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _segments(numbered: Mapping[int, Rule]) -> tuple[list[int], list[list[Instruction]]]:
    """Where runs of numbers with the same treatment begin, and the treatment."""
    refused: Rule = Action.REFUSE
    starts, rules = [0], [numbered.get(0, refused)]
    for number in range(1, max(numbered) + 1):
        rule = numbered.get(number, refused)
        if rule != rules[-1]:
            starts.append(number)
            rules.append(rule)
    starts.append(max(numbered) + 1)
    rules.append(Action.ABSENT)
    return starts, [_block(rule) for rule in rules]


def _tree(starts: Sequence[int], blocks: Sequence[list[Instruction]]) -> list[Instruction]:
    if len(starts) == 1:
        return blocks[0]
    middle = len(starts) // 2
    below, above = _tree(starts[:middle], blocks[:middle]), _tree(starts[middle:], blocks[middle:])
    if len(below) <= _MAX_SKIP:
        return [(_AT_LEAST, len(below), 0, starts[middle]), *below, *above]
    return [(_AT_LEAST, 0, 1, starts[middle]), (_JUMP, 0, 0, len(below)), *below, *above]


def _block(rule: Rule) -> list[Instruction]:
    if isinstance(rule, Action):
        return [(_RETURN, 0, 0, rule)]
    checks: list[Instruction] = []
    for condition in rule:
        checks += _check(condition)
    return [*checks, (_RETURN, 0, 0, Action.ALLOW)]


def _check(condition: Condition) -> list[Instruction]:
    """Continues after its end where the condition holds, and refuses the call where it does not."""
    low = _ARGUMENTS + 2 * _WORD_BYTES * condition.argument
    checks = _check_word(low, condition.mask & _WORD, [value & _WORD for value in condition.values])
    if condition.mask > _WORD:
        assert len(condition.values) == 1  # two words are compared one after the other
        checks += _check_word(low + _WORD_BYTES, condition.mask >> 32, [condition.values[0] >> 32])
    return checks


def _check_word(offset: int, mask: int, values: Sequence[int]) -> list[Instruction]:
    matches = [(_EQUAL, len(values) - index, 0, value) for index, value in enumerate(values)]
    return [(_LOAD, 0, 0, offset), (_AND, 0, 0, mask), *matches, (_RETURN, 0, 0, Action.REFUSE)]
