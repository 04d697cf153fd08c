"""A Hugging Face hub on this machine: the part that every kind of it has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx2
from huggingface_hub import close_session, set_client_factory
from huggingface_hub.utils._http import default_client_factory


class HubHandler(BaseHTTPRequestHandler):
    """Answers quickly, over connections that stay open, and prints nothing."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def log_message(self, *_: object) -> None: ...


@contextmanager
def listening_hub(handler: type[HubHandler]) -> Iterator[str]:
    """The address of a hub on a free port. Meanwhile the hub's client asks it even if HF_HUB_OFFLINE is set."""
    listening = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    listening.daemon_threads = True
    thread = Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    set_client_factory(lambda: httpx2.Client(follow_redirects=True, timeout=None))
    try:
        yield f"http://127.0.0.1:{listening.server_address[1]}"
    finally:
        close_session()
        set_client_factory(default_client_factory)
        listening.shutdown()
        listening.server_close()
        thread.join()
