"""What the tests of children run in one, by the word that they ask."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from verifine.machine.parent import end_with_parent


def main(word: str) -> None:
    match word:
        case "environment":
            print(json.dumps(dict(os.environ)))
        case "fill memory":
            print(len(bytearray(1 << 30)))
        case "start another":
            print(subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid)
        case _:
            Path(word).write_text(str(os.getpid()))
            time.sleep(600)


end_with_parent(int(sys.argv[1]))
main(sys.stdin.read())
