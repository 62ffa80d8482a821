#!/usr/bin/env python3
"""Schemathesis, a public fuzzer, driven by the OpenAPI document that an agent serves.

    fuzzer.py install                fetch it; needs no root
    fuzzer.py check                  succeed where that was done, else say what is missing
    fuzzer.py run SOCKET SEED COUNT  ask the agent at the Unix socket, with COUNT examples for each call at the most
"""

import sys

# Nothing is written beside the sources.
sys.dont_write_bytecode = True

import socket
import socketserver
import subprocess
import tempfile
import threading
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "services"))

from installation import Failed, Packages, environment, say

# What of an answer is looked at: no server error but an honest one, and only what the document says that there may be.
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
BOUND = 500


def relay(path):
    """A port of the loopback whose connections lead to the socket: the fuzzer speaks TCP only."""

    class Both(socketserver.BaseRequestHandler):
        def handle(self):
            with socket.socket(socket.AF_UNIX) as agent:
                agent.connect(path)
                back = threading.Thread(target=carry, args=(agent, self.request), daemon=True)
                back.start()
                carry(self.request, agent)
                back.join()

    class Relay(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    server = Relay(("127.0.0.1", 0), Both)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def carry(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    try:
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def fuzz(packages, path, seed, count):
    url = f"http://127.0.0.1:{relay(path)}"
    with tempfile.TemporaryDirectory() as folder:
        # Read from the address that is asked, it would leave that one out.
        document = Path(folder) / "openapi.json"
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}/v0/openapi.json") as answer:
            document.write_bytes(answer.read())
        words = [packages.program("st"), "run", document, "--url", url, "--checks", CHECKS]
        words += ["--seed", seed, "--max-examples", count, "--workers", "1", "--no-color"]
        # It keeps examples beside itself.
        done = subprocess.run(
            [str(word) for word in words], env=environment(), cwd=folder, timeout=BOUND, check=False
        )
        return done.returncode


def main():
    packages = Packages("fuzzer", HERE / "requirements.lock")
    match sys.argv[1:]:
        case ["install"]:
            packages.install()
        case ["check"] | ["run", _, _, _] if not packages.is_there():
            raise Failed("schemathesis is not installed: tests/agent/fuzzer/fuzzer.py install")
        case ["check"]:
            pass
        case ["run", path, seed, count]:
            return fuzz(packages, path, seed, count)
        case _:
            raise Failed(__doc__.strip())
    return 0


try:
    sys.exit(main())
except Failed as error:
    say(error)
    sys.exit(1)
