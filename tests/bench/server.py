"""nginx on the loopback, for the cases that download: what it serves lies on the measured file system."""

import os
import socket
import subprocess
import time

# Not in everybody's headers for Python; the kernel's number.
SO_MAX_PACING_RATE = 47
START_SECONDS = 10.0
BUFFER = 128 << 10


class Server:
    """One nginx, from entry to exit, that serves a directory of the place at `address`."""

    def __init__(self, place, name, root, pace=None, directives=""):
        """`pace` bounds the bytes a second of each connection. The kernel does that, evenly; nginx's own bound gives each request a
        second's worth in advance, so that more requests would look like more speed."""
        self.place = place
        self.directory = place.path(name)
        self.root = place.path(root)
        self.pace = pace
        self.directives = directives

    def __enter__(self):
        self.directory.mkdir(exist_ok=True)
        with socket.socket() as listener:
            # nginx takes over the socket, and its connections inherit what is set here.
            listener.bind(("127.0.0.1", 0))
            if self.pace:
                listener.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, self.pace)
                # A request that nginx has done with counts no more, so little may wait behind it.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            listener.listen(512)
            self.address = "127.0.0.1:%d" % listener.getsockname()[1]
            config = self.directory / "nginx.conf"
            config.write_text(self._config())
            pid = self.directory / "pid"
            pid.unlink(missing_ok=True)
            # If this process is killed, so is the server.
            command = ["setpriv", "--pdeathsig", "TERM", "nginx", "-p", self.directory, "-c", config]
            self.process = subprocess.Popen(
                [*command, "-e", self.directory / "errors"],
                pass_fds=[listener.fileno()],
                env=os.environ | {"NGINX": f"{listener.fileno()};"},
            )
        end = time.monotonic() + START_SECONDS
        while not (pid.exists() and pid.read_text()):
            if self.process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise SystemExit("bench: nginx does not start:\n" + (self.directory / "errors").read_text())
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        # The master ends its workers.
        self.process.terminate()
        self.process.wait()

    def url(self, name):
        return f"http://{self.address}/{name}"

    def _config(self):
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"{kind}_temp_path {self.directory}/{kind};\n" for kind in kinds)
        return (
            f"user root;\ndaemon off;\nworker_processes 1;\npid {self.directory}/pid;\n"
            f"events {{ worker_connections 1024; }}\nhttp {{\n{temporary}access_log off;\nsendfile on;\ntcp_nopush on;\n"
            f"limit_conn_zone $server_port zone=connections:1m;\n"
            f"server {{ listen {self.address}; root {self.root}; {self.directives} }}\n}}\n"
        )
