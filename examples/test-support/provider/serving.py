"""What a provider written in Python does as a program of its own."""

import json
import os
import sys
import threading

from werkzeug.serving import make_server


def serve(application, socket):
    """Serves `application` on the listening `socket` until standard input ends, one request after the other.

    Prints one line first, {"issuer":"http://127.0.0.1:<port>"}.
    """
    server = make_server("127.0.0.1", 0, application, fd=socket.fileno())
    threading.Thread(target=_end_with_input, daemon=True).start()
    print(json.dumps({"issuer": issuer(socket)}), flush=True)
    server.serve_forever()


def issuer(socket):
    """The issuer that stands behind the listening `socket`."""
    return f"http://127.0.0.1:{socket.getsockname()[1]}"


def _end_with_input():
    sys.stdin.read()
    os._exit(0)
