"""What `python -c` runs: takes its modules from the socket, so that no folder of ours is open to what runs later."""

import json
import socket
import sys
from types import ModuleType


def load_modules() -> None:
    """Load the modules in their order, take their names away again, and hand over to the last."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    length = int.from_bytes(channel.recv(4, socket.MSG_WAITALL), "big")
    settings = json.loads(channel.recv(length, socket.MSG_WAITALL))
    for name, source in settings["modules"].items():
        module = sys.modules[name] = ModuleType(name)
        exec(compile(source, f"<{name}>", "exec"), module.__dict__)  # noqa: S102 - our own modules
    for name in settings["modules"]:
        del sys.modules[name]
    module.serve_calls(channel, settings)


if __name__ == "__main__":
    load_modules()
