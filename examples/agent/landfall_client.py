#!/usr/bin/env python3
"""A client of the Landfall agent, in one file, with the standard library alone.

    from landfall_client import Agent, AgentError
    placed = Agent().place({"id": "UUID", "token": TOKEN}, to="/var/lib/vms/one/disk")

A call that failed and may succeed when it is made again (`retry` is `later`) is made again, a few times: the agent joins it with
the one before, if that still runs. As a program:

    landfall_client.py [--socket PATH] place|plan|remove|move JSON | get PATH | events JOB
"""

import argparse
import http.client
import json
import socket
import sys
import time

SOCKET = "/run/landfall/agent.sock"


class AgentError(Exception):
    """What the agent said; `kind` and `code` are for programs, `retry` is `no` or `later`."""

    def __init__(self, status, error):
        super().__init__("{message} ({kind} {code})".format(**error))
        self.status, self.error = status, error
        self.kind, self.code, self.retry = error["kind"], error["code"], error["retry"]


class _Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("agent", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Agent:
    """The agent of this node. Every call has a connection of its own, so one object serves any number of threads."""

    def __init__(self, path=SOCKET, timeout=None, tries=5):
        self.path, self.timeout, self.tries = path, timeout, tries

    def place(self, image, to=None, to_dir=None, **options):
        """Places an image and waits for it; gives the report. `options` as in the agent's documentation."""
        request = dict(options, image=image)
        request.update({"to": str(to)} if to is not None else {"to_dir": str(to_dir)})
        return self.call("POST", "/v0/place", request)

    def place_group(self, members, to_dir, **options):
        """Places several images, {name: image}, as the disks of one directory: all of them or none."""
        group = [{"name": name, "image": image} for name, image in members.items()]
        return self.call("POST", "/v0/place", dict(options, group=group, to_dir=str(to_dir)))

    def remove(self, path):
        """Removes a placement. Where nothing stands, as after a removal, nothing is done, and None is given."""
        try:
            return self.call("POST", "/v0/remove", {"path": str(path)})
        except AgentError as error:
            if error.error["code"] != "no-placement":
                raise
            return None

    def cancel(self, path):
        """Gives up all of one's own calls for a target; gives their jobs."""
        return self.call("POST", "/v0/cancel", {"path": str(path)})["jobs"]

    def call(self, method, path, request=None):
        """Makes a call, and again where that may help; `deadline_seconds` in it is that of all tries together."""
        deadline = (request or {}).get("deadline_seconds")
        end = None if deadline is None else time.monotonic() + deadline
        for left in reversed(range(self.tries)):
            if end is not None:
                request = dict(request, deadline_seconds=max(end - time.monotonic(), 0.001))
            try:
                return self._once(method, path, request)
            except AgentError as error:
                if error.retry != "later" or not left:
                    raise
                pause = error.error.get("retry_after_seconds", 1)
            except (OSError, http.client.HTTPException) as error:
                # The agent is being restarted. What it had begun it goes on with.
                if not left:
                    raise AgentError(0, {"kind": "unavailable", "code": "agent-gone", "scope": "request", "retry": "later",
                                         "message": "the agent does not answer: %s" % error}) from error
                pause = 1
            if end is not None and time.monotonic() + pause >= end:
                raise AgentError(0, {"kind": "cancelled", "code": "deadline", "scope": "request", "retry": "later",
                                     "message": "the deadline passed before the call could be made again"})
            time.sleep(pause)

    def events(self, job):
        """Yields (name, document) for each event of a job, until it is over."""
        connection = self._open("GET", "/v0/jobs/%s/events" % job, None)
        try:
            response = connection.getresponse()
            if response.status != 200:
                raise AgentError(response.status, json.load(response)["error"])
            name = None
            for line in response:
                key, _, value = line.decode().rstrip("\n").partition(": ")
                if key == "event":
                    name = value
                elif key == "data":
                    yield name, json.loads(value)
        finally:
            connection.close()

    def _open(self, method, path, request):
        connection = _Connection(self.path, self.timeout)
        body = None if request is None else json.dumps(request)
        connection.request(method, path, body, {"content-type": "application/json"} if body else {})
        return connection

    def _once(self, method, path, request):
        connection = self._open(method, path, request)
        try:
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status < 400 and response.headers.get_content_type() != "application/json":
            return body.decode()
        document = json.loads(body)
        if response.status >= 400:
            raise AgentError(response.status, document["error"])
        return document


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--socket", default=SOCKET)
    parser.add_argument("--tries", type=int, default=5)
    parser.add_argument("what", choices=["place", "remove", "move", "cancel", "plan", "get", "events"])
    parser.add_argument("argument", help="JSON, - for JSON on standard input, a path of an endpoint, or a job")
    arguments = parser.parse_args()
    agent = Agent(arguments.socket, tries=arguments.tries)
    try:
        if arguments.what == "get":
            answer = agent.call("GET", arguments.argument)
            print(answer if isinstance(answer, str) else json.dumps(answer))
        elif arguments.what == "events":
            for name, document in agent.events(arguments.argument):
                print(name, json.dumps(document), flush=True)
        else:
            text = sys.stdin.read() if arguments.argument == "-" else arguments.argument
            answer = agent.call("POST", "/v0/" + arguments.what, json.loads(text))
            print(json.dumps(answer))
            # A plan that could not be carried out is an answer, and no success.
            return 0 if answer.get("ok", True) else 1
    except AgentError as error:
        print(json.dumps({"ok": False, "status": error.status, "error": error.error}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
