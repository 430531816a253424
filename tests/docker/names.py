"""A name server for the servers of a hub on the engine, and what they see of it."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator, Mapping

SERVER_NETWORK = {"log_driver": "local", "log_options": {"max-size": "1m"}, "mtu": 1400}
"""What a site of these tests says of its engine's networks and logs, besides `dns`."""

NAMES = {"atlas.imaging.example.org": "192.0.2.9"}

FINDS_NAMES = """
import socket
print(*map(socket.gethostbyname, ("atlas", "pacs.example.org")), open("/sys/class/net/eth0/mtu").read().strip())
"""
"""Code for a server: a name in the site's search domain, one of its `hosts`, and the largest packet."""


@contextlib.contextmanager
def name_server(address: str, names: Mapping[str, str] = NAMES) -> Iterator[None]:
    """Answer questions for these names, and that there are no others."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.bind((address, 53))
        answering = threading.Thread(target=_answer, args=(asked, names), daemon=True)
        answering.start()
        yield
        # It is no connection, but whoever waits is woken.
        with contextlib.suppress(OSError):
            asked.shutdown(socket.SHUT_RDWR)
        answering.join(5)


def _answer(asked: socket.socket, names: Mapping[str, str]) -> None:
    with contextlib.suppress(OSError):
        while True:
            question, who = asked.recvfrom(4096)
            if not question:
                return
            labels, at = [], 12
            while length := question[at]:
                labels.append(question[at + 1 : at + 1 + length].decode())
                at += 1 + length
            name = ".".join(labels).lower()
            of_ipv4 = struct.unpack_from(">H", question, at + 1)[0] == 1
            found = names.get(name)
            record = b""
            if found and of_ipv4:
                record = struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton(found)
            flags = 0x8180 if found else 0x8183
            head = question[:2] + struct.pack(">HHHHH", flags, 1, bool(record), 0, 0)
            asked.sendto(head + question[12 : at + 5] + record, who)
