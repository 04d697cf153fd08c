"""What honest graders do must work at every level."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from textwrap import dedent, indent

import pytest

from verifine.graders.sandbox import Call, Outcome
from verifine.types import Json

Run = Callable[[Sequence[Call]], list[Outcome]]

GRADERS: dict[str, tuple[str, Json]] = {
    "json": ("import json\nreturn json.loads(json.dumps({'a': [1, None, 'é']}))", {"a": [1, None, "é"]}),
    "re": ("import re\nreturn re.findall(r'\\d+', 'a1b22')", ["1", "22"]),
    "math": ("import math, cmath\nreturn [math.comb(5, 2), abs(cmath.exp(0))]", [10, 1.0]),
    "decimal": ("from decimal import Decimal\nreturn str(Decimal('0.1') + Decimal('0.2'))", "0.3"),
    "fractions": ("from fractions import Fraction\nreturn Fraction(1, 4)", 0.25),
    "statistics": ("import statistics\nreturn statistics.median([3, 1, 2])", 2),
    "random": (
        """
        import random

        random.seed(0)
        return random.randint(1, 6) in range(1, 7)
        """,
        True,
    ),
    "secrets": ("import secrets, uuid\nreturn [len(secrets.token_hex(4)), len(str(uuid.uuid4()))]", [8, 36]),
    "hashlib": (
        "import hashlib\nreturn hashlib.sha256(b'').hexdigest()[:8] + hashlib.md5(b'').hexdigest()[:4]",
        "e3b0c442d41d",
    ),
    "datetime": (
        """
        from datetime import datetime, timezone

        return datetime(2024, 2, 29, tzinfo=timezone.utc).isoformat() + str(datetime.now().year > 2000)
        """,
        "2024-02-29T00:00:00+00:00True",
    ),
    "zoneinfo": (
        """
        from datetime import datetime
        from zoneinfo import ZoneInfo

        return datetime(2024, 7, 1, tzinfo=ZoneInfo("Europe/Berlin")).utcoffset().total_seconds()
        """,
        7200.0,
    ),
    "time": (
        """
        import time

        start = time.monotonic()
        time.sleep(0.01)
        return time.monotonic() - start > 0.005
        """,
        True,
    ),
    "threading": (
        """
        import threading

        found = []
        threads = [threading.Thread(target=found.append, args=(n,)) for n in range(20)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        return sorted(found)
        """,
        list(range(20)),
    ),
    "thread pool": (
        """
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(lambda n: n * n, range(5)))
        """,
        [0, 1, 4, 9, 16],
    ),
    "asyncio": (
        """
        import asyncio

        async def one(n):
            await asyncio.sleep(0.001)
            return n

        async def all():
            return await asyncio.gather(*(one(n) for n in range(3)))

        return asyncio.run(all())
        """,
        [0, 1, 2],
    ),
    "asyncio in a thread": (
        "import asyncio\nreturn asyncio.run(asyncio.to_thread(sum, [1, 2]))",
        3,
    ),
    "dataclasses": (
        """
        from dataclasses import asdict, dataclass, field

        @dataclass
        class Point:
            x: int
            tags: list = field(default_factory=list)

        return asdict(Point(1))
        """,
        {"x": 1, "tags": []},
    ),
    "pickle": (
        "import pickle, copy\nreturn [pickle.loads(pickle.dumps(Top(3))).x, copy.deepcopy(Top(4)).x]",
        [3, 4],
    ),
    "typing": ("import typing\nreturn list(typing.get_type_hints(Top.__init__))", ["x", "return"]),
    "enum": (
        """
        import enum

        class Colour(enum.IntEnum):
            RED = 1

        return [Colour.RED, Colour.RED.name]
        """,
        [1, "RED"],
    ),
    "difflib": ("import difflib\nreturn difflib.SequenceMatcher(None, 'abcd', 'bcde').ratio()", 0.75),
    "collections": (
        """
        from collections import Counter, namedtuple, deque, OrderedDict

        AnswerPair = namedtuple("AnswerPair", "a b")
        return [Counter("aab")["a"], AnswerPair(1, 2), OrderedDict(a=1), deque([1]).pop()]
        """,
        [2, [1, 2], {"a": 1}, 1],
    ),
    "heapq and bisect": (
        "import bisect, heapq\nreturn [heapq.nsmallest(2, [3, 1, 2]), bisect.bisect([1, 2], 1)]",
        [[1, 2], 1],
    ),
    "itertools": (
        """
        import functools, itertools, operator

        return functools.reduce(operator.mul, itertools.chain([2], [3]))
        """,
        6,
    ),
    "ast": (
        """
        import ast

        return [ast.literal_eval("[1, 2]"), eval(compile("1 + 1", "x", "eval"))]
        """,
        [[1, 2], 2],
    ),
    "csv": ("import csv, io\nreturn list(csv.reader(io.StringIO('a,b\\n1,2')))", [["a", "b"], ["1", "2"]]),
    "text": (
        """
        import base64, string, textwrap, unicodedata

        return [
            base64.b64encode(b"x").decode(),
            textwrap.fill("a b", 1),
            unicodedata.name("é")[:5],
            string.digits[:2],
        ]
        """,
        ["eA==", "a\nb", "LATIN", "01"],
    ),
    "struct and array": (
        r"""
        import array, struct

        return [struct.unpack("<i", b"\1\0\0\0")[0], list(array.array("i", [1]))]
        """,
        [1, [1]],
    ),
    "sqlite": (
        """
        import sqlite3

        db = sqlite3.connect(":memory:")
        return db.execute("select 1 + 1").fetchone()
        """,
        [2],
    ),
    "zlib": ("import bz2, gzip, lzma, zlib\nreturn len(zlib.decompress(zlib.compress(b'x' * 9)))", 9),
    "xml and html": (
        """
        import html, html.parser, xml.etree.ElementTree as tree

        return [tree.fromstring("<a>1</a>").text, html.escape("<")]
        """,
        ["1", "&lt;"],
    ),
    "urllib.parse": ("from urllib.parse import urlparse\nreturn urlparse('http://a/b').path", "/b"),
    "logging": (
        """
        import logging

        logging.warning("x")
        import warnings

        warnings.warn("y")
        return 1
        """,
        1,
    ),
    "contextlib": (
        """
        import contextlib, io

        with contextlib.redirect_stdout(io.StringIO()) as out:
            print("x")
        return out.getvalue()
        """,
        "x\n",
    ),
    "signal": (
        """
        import signal, time

        signal.signal(signal.SIGALRM, lambda *_: 1 / 0)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        try:
            time.sleep(5)
        except ZeroDivisionError:
            return "rang"
        """,
        "rang",
    ),
    "recursion": (
        """
        import sys

        sys.setrecursionlimit(5000)

        def down(n):
            return n and down(n - 1)

        return down(4000)
        """,
        0,
    ),
    "devnull": (
        """
        import os

        with open(os.devnull, "w") as nothing:
            print("x", file=nothing)
        return len(os.urandom(4))
        """,
        4,
    ),
    "platform": (
        "import os, platform, sys\nreturn [platform.system(), sys.platform, bool(os.cpu_count())]",
        ["Linux", "linux", True],
    ),
    "locale": ("import locale\nreturn locale.getpreferredencoding()", "UTF-8"),
    "sets in the same order": (
        "return list({'alpha', 'beta', 'gamma', 'delta'}) == sorted({'x': 1}) or hash('a') != 0",
        True,
    ),
    "numpy": (
        """
        import numpy as np

        return [
            np.float32(0.5),
            np.int64(3),
            np.bool_(True),
            np.arange(2),
            float(np.linalg.det(np.eye(3))),
            np.float64(1.5),
            np.dot(np.ones((200, 200)), np.ones((200, 200)))[0, 0],
        ]
        """,
        [0.5, 3, True, [0, 1], 1.0, 1.5, 200.0],
    ),
    "sympy": ("import sympy\nreturn str(sympy.simplify('(x**2 - 1)/(x - 1)'))", "x + 1"),
    "math_verify": (
        """
        from math_verify import parse, verify

        return verify(
            parse("$1/2$", parsing_timeout=None), parse("$0.5$", parsing_timeout=None), timeout_seconds=None
        )
        """,
        True,
    ),
}
"""The body of a function, and what it must return."""

TOP = "class Top:\n    def __init__(self, x: int) -> None:\n        self.x = x\n"


def source(body: str) -> str:
    return TOP + "def work():\n" + indent(dedent(body), "    ")


@pytest.mark.parametrize("name", GRADERS)
def test_an_honest_grader_works(run: Run, name: str) -> None:
    if name in ("numpy", "sympy", "math_verify") and importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    body, wanted = GRADERS[name]
    (outcome,) = run([Call(source=source(body), function="work")])
    assert (outcome.value, outcome.message) == (wanted, "")
    assert outcome.fault is None
