"""Attacks over the network and over local sockets: nobody is reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from verifine.graders.sandbox import CallFault, Outcome

Attack = tuple[str, Sequence[CallFault | str | float]]

ATTACKS: Mapping[str, Attack] = {
    "connect": ("return held(lambda: socket.create_connection(('127.0.0.1', facts['tcp']), 1))", ["held"]),
    "connect to the machine's other addresses": (
        """
        return each_held(
            lambda host: socket.create_connection((host, facts["tcp"]), 1),
            ["localhost", "0.0.0.0", "127.1.2.3"],
        )
        """,
        ["held"],
    ),
    "connect over IPv6": (
        """
        return held(
            lambda: socket.socket(socket.AF_INET6).connect(("::1", facts["tcp"])),
            lambda: socket.socket(socket.AF_INET6).connect(("::ffff:127.0.0.1", facts["tcp"])),
        )
        """,
        ["held"],
    ),
    "send a datagram": (
        "return held(lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', facts['udp'])))",
        ["held"],
    ),
    "listen": (
        "return held(lambda: socket.create_server(('127.0.0.1', 0)), lambda: socket.create_server(('', 0)))",
        ["held"],
    ),
    "look up a name": (
        "return held(lambda: socket.getaddrinfo('example.com', 80), lambda: socket.gethostbyname('example.com'))",
        ["held"],
    ),
    "fetch a page": (
        """
        import urllib.request

        return held(lambda: urllib.request.urlopen(f"http://127.0.0.1:{facts['tcp']}", timeout=1))
        """,
        ["held"],
    ),
    "abstract socket": (
        """
        return held(
            lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"x", facts["abstract"]),
            lambda: socket.socket(socket.AF_UNIX).connect(facts["abstract"] + "-stream"),
        )
        """,
        ["held"],
    ),
    "socket in a folder": (
        """
        return held(
            lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"x", facts["socket"]),
            lambda: socket.socket(socket.AF_UNIX).connect(facts["socket"]),
            lambda: socket.socket(socket.AF_UNIX).connect("/var/run/docker.sock"),
        )
        """,
        ["held"],
    ),
    "one end of a pair, sent elsewhere": (
        """
        def packets():
            pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            return pair[0].sendto(b"x", facts["abstract"]), pair[0].sendto(b"x", facts["socket"])

        ends = socket.socketpair()
        return held(
            packets,
            lambda: ends[0].sendto(b"x", facts["abstract"]),
            lambda: ends[0].connect(facts["abstract"] + "-stream"),
            lambda: ends[0].bind("/tmp/x"),
            lambda: ends[0].listen(),
            lambda: ends[0].sendmsg([b"x"], [], 0, facts["abstract"]),
            lambda: socket.send_fds(ends[0], [b"x"], [0]),
        )
        """,
        ["held"],
    ),
    "other kinds of socket": (
        """
        kinds = [
            (socket.AF_INET, socket.SOCK_RAW, 1),
            (socket.AF_NETLINK, socket.SOCK_RAW, 0),
            (socket.AF_PACKET, socket.SOCK_RAW, 768),
            (socket.AF_VSOCK, socket.SOCK_STREAM, 0),
            (socket.AF_ALG, socket.SOCK_SEQPACKET, 0),
            (31, 1, 0),
            (40, 1, 0),
            (socket.AF_INET, socket.SOCK_STREAM, 262),
            (16, 3, 9),
            (31, 3, 1),
        ]
        return each_held(lambda kind: socket.socket(*kind), kinds)
        """,
        ["held"],
    ),
    "use the connection of the zygote": (
        r"""
        def end(number):
            return socket.socket(fileno=number).send(b"\0\0\0\2{}")

        return each_held(end, range(4, 300))
        """,
        ["held"],
    ),
    "raw system calls": (
        """
        numbers = (
            [41, 42, 43, 46, 49, 50, 288, 307, 425]
            if os.uname().machine == "x86_64"
            else [198, 200, 201, 203, 211, 242, 425]
        )
        return each_held(lambda number: syscall(number, 2, 2, 0), numbers)
        """,
        ["held"],
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_over_the_network_reaches_nobody(attacked: Callable[..., Outcome], name: str) -> None:
    outcome = attacked(ATTACKS, name)
    assert (outcome.fault or outcome.value) in ATTACKS[name][1], outcome


@pytest.mark.parametrize(
    "name", ["connect", "send a datagram", "abstract socket", "socket in a folder", "one end of a pair, sent elsewhere"]
)
def test_the_attacks_reach_somebody_where_nothing_stands_in_their_way(
    unheld: Callable[[str], tuple[Outcome, list[str]]], name: str
) -> None:
    outcome, touched = unheld(ATTACKS[name][0])
    assert outcome.value != "held"
    assert touched != []
