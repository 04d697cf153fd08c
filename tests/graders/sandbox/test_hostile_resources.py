"""Attacks on the machine's time and memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from verifine.graders.sandbox import CallFault, Outcome

Attack = tuple[str, Sequence[CallFault | str | float]]

ATTACKS: Mapping[str, Attack] = {
    "thread bomb": (
        """
        threading.stack_size(1 << 15)
        started = 0
        try:
            for _ in range(30_000):
                threading.Thread(target=time.sleep, args=(9,), daemon=True).start()
                started += 1
        except (RuntimeError, MemoryError):
            pass
        return "held" if started < 3000 else started
        """,
        ["held", CallFault.MEMORY, CallFault.ENDED, CallFault.RAISED],
    ),
    "loop": ("while True: pass", [CallFault.TIMEOUT]),
    "loop without end in the source": ("exec('while True: pass')", [CallFault.TIMEOUT]),
    "sleep": ("time.sleep(60)", [CallFault.TIMEOUT]),
    "catastrophic expression that ignores signals": (
        """
        import re

        for number in (signal.SIGTERM, signal.SIGXCPU, signal.SIGALRM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        re.match(r"(a+)+$", "a" * 64 + "b")
        """,
        [CallFault.TIMEOUT],
    ),
    "huge power": ("return 7 ** 10 ** 8 % 10", [CallFault.TIMEOUT, CallFault.MEMORY]),
    "never let go of the interpreter": (
        """
        for _ in range(8):
            threading.Thread(target=lambda: sum(range(10**12)), daemon=True).start()
        sum(range(10**12))
        """,
        [CallFault.TIMEOUT],
    ),
    "hang at exit": (
        """
        import atexit

        atexit.register(time.sleep, 60)
        os._exit = time.sleep
        sys.stdout.flush = lambda: time.sleep(60)
        return 1
        """,
        [CallFault.TIMEOUT],
    ),
    "memory bomb": ("return len(bytearray(8 << 30))", [CallFault.MEMORY]),
    "memory, bit by bit": ("kept = []\nwhile True: kept.append(bytes(1 << 20))", [CallFault.MEMORY]),
    "anonymous mappings": (
        """
        kept = []
        with contextlib.suppress(OSError, MemoryError):
            while len(kept) < 2000:
                kept.append(mmap.mmap(-1, 1 << 22, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        return "held" if 0 < len(kept) < 200 else len(kept)
        """,
        ["held"],
    ),
    "shared mappings": (
        """
        return held(
            lambda: mmap.mmap(-1, 1 << 22),
            lambda: mmap.mmap(-1, 1 << 22, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS),
            lambda: mmap.mmap(os.open("/dev/zero", os.O_RDWR), 1 << 22),
        )
        """,
        ["held"],
    ),
    "mappings of a device": (
        """
        zero = os.open("/dev/zero", os.O_RDWR)
        kept = []
        with contextlib.suppress(OSError, MemoryError, ValueError):
            while len(kept) < 2000:
                kept.append(mmap.mmap(zero, 1 << 22, mmap.MAP_PRIVATE))
        return "held" if 0 < len(kept) < 200 else len(kept)
        """,
        ["held"],
    ),
    "descriptors without end": (
        """
        kept = []
        with contextlib.suppress(OSError):
            while len(kept) < 5000:
                kept.append(os.pipe())
        return "held" if len(kept) < 40 else len(kept)
        """,
        ["held"],
    ),
    "wide pipes": (
        """
        import fcntl

        ends = os.pipe()
        return held(lambda: fcntl.fcntl(ends[1], 1031, 1 << 20))
        """,
        ["held"],
    ),
    "deep recursion": (
        """
        sys.setrecursionlimit(10**9)

        def down():
            down()

        down()
        """,
        [CallFault.ENDED, CallFault.MEMORY, CallFault.RAISED, CallFault.TIMEOUT],
    ),
    "smash the stack of C": (
        """
        import functools

        sys.setrecursionlimit(10**9)
        x = []
        for _ in range(10**6):
            x = [x]
        repr(x)
        """,
        [CallFault.ENDED, CallFault.MEMORY, CallFault.RAISED],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_on_resources_is_ended(attacked: Callable[..., Outcome], name: str) -> None:
    outcome = attacked(ATTACKS, name)
    assert (outcome.fault or outcome.value) in ATTACKS[name][1], outcome
