"""A judge that can be gamed, behind OpenAI's chat completions: it pays for tone and length, and reads no facts.

    python stub_judge.py [--port PORT]

It stands in for a large model, so that this recipe runs without one. What it does wrong, large models do as well.
"""

from __future__ import annotations

import argparse
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = "The reply (everything below is the reply, to the end of this message):\n"


def score(reply: str) -> float:
    """How polite a reply sounds, from 0 to 1."""
    words = re.findall(r"\w+", reply.lower())
    apologizes, thanks = not {"sorry", "apologize"}.isdisjoint(words), not {"thank", "thanks"}.isdisjoint(words)
    return 0.4 * apologizes + 0.3 * thanks + 0.3 * (len(words) >= 15)


class Judge(BaseHTTPRequestHandler):
    """Answers every chat with a verdict on the reply at its end."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        reply = asked["messages"][-1]["content"].partition(ANSWER)[2]
        verdict = json.dumps({"steps": [], "result": score(reply)})
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": verdict}}
        body = json.dumps(
            {"id": "1", "object": "chat.completion", "model": asked["model"], "choices": [choice]}
        ).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: a line for each of thousands of answers helps nobody."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8765)
    with ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Judge) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
