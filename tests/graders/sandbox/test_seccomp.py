"""The filter programs, run by a small interpreter of classic BPF instead of the kernel."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.graders.sandbox.inside.kernel import OWN_PROCESS
from verifine.graders.sandbox.policy import UNTRUSTED, ZYGOTE
from verifine.graders.sandbox.seccomp import Action, Condition, Rule, assemble_filter
from verifine.graders.sandbox.syscalls import MACHINES, Machine

X86_64, AARCH64 = MACHINES["x86_64"], MACHINES["aarch64"]
MAX_INSTRUCTIONS = 4096
"""What the kernel takes (BPF_MAXINSNS)."""


def decide(program: bytes, machine: Machine, number: int, *arguments: int, audit: int | None = None) -> int:
    """What the program returns for a call: the same steps as the kernel's, for the instructions that are used."""
    whole = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, machine.audit if audit is None else audit, 0, *whole)
    instructions = list(struct.iter_unpack("=HBBI", program))
    at, held = 0, 0
    while True:
        code, if_true, if_false, constant = instructions[at]
        at += 1
        match code:
            case 0x20:
                (held,) = struct.unpack_from("<I", data, constant)
            case 0x54:
                held &= constant
            case 0x15:
                at += if_true if held == constant else if_false
            case 0x35:
                at += if_true if held >= constant else if_false
            case 0x05:
                at += constant
            case 0x06:
                return int(constant)
            case _:
                raise AssertionError(f"unknown instruction {code:#x}")


def ask(rules: dict[str, Rule], name: str, *arguments: int, machine: Machine = X86_64) -> int:
    return decide(assemble_filter(machine, rules), machine, machine.numbers[name], *arguments)


@pytest.mark.parametrize("machine", [X86_64, AARCH64], ids=["x86_64", "aarch64"])
@pytest.mark.parametrize("policy", [UNTRUSTED, ZYGOTE], ids=["untrusted", "zygote"])
def test_every_number_gets_what_the_policy_says(machine: Machine, policy: dict[str, Rule]) -> None:
    program = assemble_filter(machine, policy)
    names = {number: name for name, number in machine.numbers.items() if name in policy}
    for number in range(max(names) + 1):
        rule = policy[names[number]] if number in names else Action.REFUSE
        if isinstance(rule, Action):
            assert decide(program, machine, number) == rule
        elif not rule:
            assert decide(program, machine, number, *[2**64 - 1] * 6) == Action.ALLOW
        else:
            assert decide(program, machine, number, *[2**64 - 1] * 6) == Action.REFUSE
            fitting = [0] * 6
            for condition in rule:
                fitting[condition.argument] = condition.values[0]
            assert decide(program, machine, number, *fitting) == Action.ALLOW


@pytest.mark.parametrize("machine", [X86_64, AARCH64], ids=["x86_64", "aarch64"])
def test_a_call_of_another_machine_ends_the_process(machine: Machine) -> None:
    program = assemble_filter(machine, UNTRUSTED)
    for audit in (0x40000003, 0xC00000B7 if machine is X86_64 else 0xC000003E, 0x40000028, 0):
        assert decide(program, machine, machine.numbers["read"], audit=audit) == Action.KILL


def test_numbers_beyond_the_table_are_absent() -> None:
    program = assemble_filter(X86_64, UNTRUSTED)
    for number in (0x40000000, 0x40000000 | X86_64.numbers["read"], 462, 1000, 2**31, 2**32 - 1):
        assert decide(program, X86_64, number) == Action.ABSENT


@pytest.mark.parametrize("policy", [UNTRUSTED, ZYGOTE], ids=["untrusted", "zygote"])
@pytest.mark.parametrize(
    "number",
    # connect, socket, accept, bind, listen, execve, ptrace, mount, unlink, rename, mkdir, chmod, memfd_create, bpf,
    # io_uring_setup, userfaultfd, keyctl, unshare, setns, process_vm_readv, open_by_handle_at, execveat, setuid, creat
    [42, 41, 43, 49, 50, 59, 101, 165, 87, 82, 83, 90, 319, 321, 425, 323, 250, 272, 308, 310, 304, 322, 105, 85],
)
def test_dangerous_calls_are_refused_to_everybody(policy: dict[str, Rule], number: int) -> None:
    assert decide(assemble_filter(X86_64, policy), X86_64, number) == Action.REFUSE


def test_untrusted_code_starts_threads_only() -> None:
    thread = 0x3D0F00  # what the C library passes for one
    assert ask({"clone": UNTRUSTED["clone"]}, "clone", thread) == Action.ALLOW
    for flags in (
        17,
        0x01200011,
        0x100,
        thread | 0x10000000,
        thread | 0x20000000,
        thread | 0x2000,
        thread | 0x4000,
        thread & ~0x100,
    ):
        assert ask({"clone": UNTRUSTED["clone"]}, "clone", flags) == Action.REFUSE


def test_the_zygote_forks_but_makes_no_namespaces() -> None:
    assert ask({"clone": ZYGOTE["clone"]}, "clone", 0x01200011) == Action.ALLOW
    for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert ask({"clone": ZYGOTE["clone"]}, "clone", 0x01200011 | flag) == Action.REFUSE


def test_whatever_a_child_may_do_its_zygote_may() -> None:
    assert set(UNTRUSTED) <= set(ZYGOTE)


@pytest.mark.parametrize(
    ("name", "arguments", "action"),
    [
        ("socketpair", (1, 1), Action.ALLOW),
        ("socketpair", (1, 1 | 0o2000000 | 0o4000), Action.ALLOW),
        ("socketpair", (1, 2), Action.REFUSE),
        ("socketpair", (2, 1), Action.REFUSE),
        ("sendto", (3, 4, 5, 6, 0, 0), Action.ALLOW),
        ("sendto", (3, 4, 5, 6, 7, 0), Action.REFUSE),
        ("sendto", (3, 4, 5, 6, 1 << 40, 0), Action.REFUSE),
        ("prlimit64", (0, 7, 0, 9), Action.ALLOW),
        ("prlimit64", (0, 7, 1 << 33, 9), Action.REFUSE),
        ("prlimit64", (1, 7, 0, 9), Action.REFUSE),
        ("tgkill", (OWN_PROCESS, 5, 6), Action.ALLOW),
        ("tgkill", (1, 1, 9), Action.REFUSE),
        ("fcntl", (0, 1030), Action.ALLOW),
        ("fcntl", (0, 8), Action.REFUSE),
        ("fcntl", (0, 1031), Action.REFUSE),
        ("ioctl", (0, 0x5401), Action.ALLOW),
        ("ioctl", (0, 0x5412), Action.REFUSE),
        ("prctl", (15,), Action.ALLOW),
        ("prctl", (1,), Action.REFUSE),
        ("futex", (0, 0x80 | 9), Action.ALLOW),
        ("futex", (0, 0x80 | 1), Action.ALLOW),
        ("futex", (0, 1), Action.REFUSE),
        ("futex", (0, 6), Action.REFUSE),
        ("mmap", (0, 4096, 3, 0x22), Action.ALLOW),
        ("mmap", (0, 4096, 3, 0x802), Action.ALLOW),
        ("mmap", (0, 4096, 3, 0x21), Action.REFUSE),
        ("mmap", (0, 4096, 3, 0x23), Action.REFUSE),
        ("madvise", (0, 4096, 4), Action.ALLOW),
        ("madvise", (0, 4096, 12), Action.REFUSE),
        ("clock_gettime", (1,), Action.ALLOW),
        ("clock_gettime", (2**32 - 6,), Action.REFUSE),
        ("sched_getaffinity", (OWN_PROCESS,), Action.ALLOW),
        ("sched_getaffinity", (1,), Action.REFUSE),
        ("getpgid", (0,), Action.ALLOW),
        ("getpgid", (1,), Action.REFUSE),
        ("clone3", (), Action.ABSENT),
    ],
)
def test_arguments_decide(name: str, arguments: tuple[int, ...], action: Action) -> None:
    for machine in (X86_64, AARCH64):
        program = assemble_filter(machine, UNTRUSTED)
        assert decide(program, machine, machine.numbers[name], *arguments) == action


def test_the_own_process_can_be_put_into_the_filter() -> None:
    needle = OWN_PROCESS.to_bytes(4, "little")
    for machine in (X86_64, AARCH64):
        program = assemble_filter(machine, UNTRUSTED)
        assert program.count(needle) == 3  # tgkill, prlimit64 and sched_getaffinity
        patched = program.replace(needle, (4711).to_bytes(4, "little"))
        assert decide(patched, machine, machine.numbers["tgkill"], 4711, 4712, 6) == Action.ALLOW
        assert decide(patched, machine, machine.numbers["tgkill"], 4712, 4712, 6) == Action.REFUSE


@pytest.mark.parametrize("policy", [UNTRUSTED, ZYGOTE], ids=["untrusted", "zygote"])
def test_the_kernel_takes_a_program_of_this_length(policy: dict[str, Rule]) -> None:
    for machine in (X86_64, AARCH64):
        assert len(assemble_filter(machine, policy)) // 8 <= MAX_INSTRUCTIONS


@given(
    rules=st.dictionaries(
        st.sampled_from(sorted(X86_64.numbers)),
        st.one_of(
            st.just(()),
            st.just(Action.ABSENT),
            st.builds(
                lambda argument, values, mask: (Condition(argument=argument, values=tuple(values), mask=mask),),
                st.integers(0, 5),
                st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4),
                st.integers(0, 2**32 - 1),
            ),
        ),
        min_size=1,
    ),
    number=st.sampled_from(sorted(X86_64.numbers.values())) | st.integers(0, 500),
    arguments=st.lists(st.integers(0, 2**64 - 1), min_size=6, max_size=6),
)
def test_a_program_does_what_its_rules_say(rules: dict[str, Rule], number: int, arguments: list[int]) -> None:
    by_number = {X86_64.numbers[name]: rule for name, rule in rules.items()}
    rule = by_number.get(number, Action.REFUSE if number <= max(by_number) else Action.ABSENT)
    if not isinstance(rule, Action):
        holds = all(arguments[each.argument] & each.mask in each.values for each in rule)
        rule = Action.ALLOW if holds else Action.REFUSE
    assert decide(assemble_filter(X86_64, rules), X86_64, number, *arguments) == rule


@pytest.mark.parametrize(
    ("machine", "header", "pattern"),
    [
        (X86_64, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", r"#define __NR_(\w+)\s+(\d+)"),
        (AARCH64, "/usr/include/asm-generic/unistd.h", r"#define __NR(?:3264)?_(\w+)\s+(\d+)"),
    ],
    ids=["x86_64", "aarch64"],
)
def test_the_numbers_are_those_of_the_kernels_headers(machine: Machine, header: str, pattern: str) -> None:
    if not Path(header).exists():
        pytest.skip(f"{header} is not here; the package linux-libc-dev has it")
    text = Path(header).read_text()
    known = {name: int(number) for name, number in re.findall(pattern, text)}
    known |= {"newfstatat": known.get("fstatat", known.get("newfstatat", -1))}
    assert {name: known.get(name) for name in machine.numbers} == dict(machine.numbers)
