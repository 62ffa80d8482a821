#!/usr/bin/env python3
"""Real Swift, Keystone and Glance on ports of the loopback, for tests and for looking around.

    services.py install              fetch and prepare what the services are; needs no root
    services.py check                succeed where that was done, else say what is missing
    services.py python SCRIPT [ARGUMENT...]
                                     run a script with the packages of the services, oslo.utils among them
    services.py up DIR               start those that do not run; DIR/services.json tells where they are and who may what
        [--only swift|keystone|glance]...   and what these stand on
        [--token-life SECONDS]              of the short-lived ones' tokens, in a new DIR
    services.py kill DIR NAME        end one at once
    services.py start DIR NAME       start one on the port that it has; also those that `up` leaves out: swift-proxy-short,
                                     keystone-short and glance-hidden
    services.py forget DIR           empty the cache: tokens that were revoked are refused from now on
    services.py down DIR             end all
    services.py session DIR          do `up [GROUP]`, `kill NAME`, `start NAME` and `forget` from lines of standard input, answer
                                     each with one line, and end all when it closes, whoever closed it
"""

import sys

# Nothing is written beside the sources.
sys.dont_write_bytecode = True

import argparse
import os
import shutil
import signal
import socket
import time
from dataclasses import asdict

import glance_service
import keystone_service
import processes
import swift_service
from installation import Failed, Installation, environment, say
from state import ALL, BENEATH, GROUPS, State

TOKEN_LIFE = 5


def ready():
    installation = Installation()
    if not installation.is_there():
        raise Failed("Swift, Keystone and Glance are not installed: tests/services/services.py install")
    return installation


def prepare(state, token_life):
    """Chooses ports and writes settings, once for a folder; a folder in which that was cut short begins anew."""
    if "swift" in state.document:
        return
    installation = ready()
    began = time.monotonic()
    for entry in state.dir.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
    state.choose(token_life)
    for part in (swift_service, keystone_service, glance_service):
        for name, program in part.configure(state, installation).items():
            state.service(name)["program"] = asdict(program)
    state.save()
    say(f"settings: {time.monotonic() - began:.1f} s")


def bring_up(state, names):
    """Starts those that do not run and waits for all of them; where one fails, none of those that it started stays."""
    # One that this machine cannot run has no program.
    programs = {
        name: processes.Program(**state.service(name)["program"]) for name in names if "program" in state.service(name)
    }
    began, started = time.monotonic(), []
    try:
        for name, program in programs.items():
            # Before it is started, so that it is ended wherever this is interrupted.
            if not processes.is_running(state.service(name)):
                started.append(name)
                processes.start(state, name, program)
        processes.await_all(state, programs)
    except BaseException:
        for name in started:
            processes.kill(state, name)
        raise
    if started:
        say(f"{', '.join(started)}: {time.monotonic() - began:.1f} s")


def up(state, groups, token_life=TOKEN_LIFE):
    with state.locked(create=True):
        prepare(state, token_life)
        wanted = {name for group in groups for name in (*BENEATH[group], group)}
        bring_up(state, [name for group in GROUPS if group in wanted for name in GROUPS[group]])


def start(state, name):
    with state.locked():
        bring_up(state, [name])


def kill(state, name):
    with state.locked():
        processes.kill(state, name)


def forget(state):
    """What asks Keystone about tokens remembers the answers for minutes."""
    with state.locked():
        if not processes.is_running(state.service("memcached")):
            return
        with socket.create_connection(("127.0.0.1", state.port("memcached")), timeout=processes.LOOK) as connection:
            connection.sendall(b"flush_all\r\n")
            if connection.recv(4) != b"OK\r\n":
                raise Failed("memcached does not forget")


def down(state):
    with state.locked():
        end_all(state)


def end_all(state):
    for name in state.document["services"]:
        processes.kill(state, name)


def obey(state, line):
    """Does what one line of a session says."""
    word, _, name = line.strip().partition(" ")
    if word == "up" and (not name or name in GROUPS):
        up(state, [name] if name else list(GROUPS))
    elif word == "forget" and not name:
        forget(state)
    elif word in ("start", "kill") and name in ALL:
        {"start": start, "kill": kill}[word](state, name)
    else:
        raise Failed(f"not understood: {line!r}")


def session(state):
    """Whoever has the other end of standard input can die at any time; nothing is left running then."""
    # A terminal tells everybody in front of it; it is for the other end to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for line in sys.stdin:
            try:
                obey(state, line)
                answer = "ok"
            except (Failed, OSError) as error:
                answer = "failed: " + " | ".join(str(error).splitlines())
            print(answer, flush=True)
    finally:
        try:
            down(state)
        except (Failed, OSError):
            # Somebody has removed the folder. What runs is known all the same.
            end_all(state)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install")
    commands.add_parser("check")
    commands.add_parser("python").add_argument("script", nargs=argparse.REMAINDER)
    for name in ("up", "kill", "start", "forget", "down", "session"):
        command = commands.add_parser(name)
        command.add_argument("dir")
        if name == "up":
            command.add_argument("--only", action="append", choices=list(GROUPS))
            command.add_argument("--token-life", type=int, default=TOKEN_LIFE)
        elif name in ("kill", "start"):
            command.add_argument("name", choices=ALL)
    return parser.parse_args()


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        match args.command:
            case "install":
                Installation().install()
            case "check":
                ready()
            case "python":
                program = ready().program("python")
                os.execve(program, [program, *args.script], environment())
            case "up":
                up(State(args.dir), args.only or list(GROUPS), args.token_life)
            case "kill" | "start":
                {"start": start, "kill": kill}[args.command](State(args.dir), args.name)
            case "forget":
                forget(State(args.dir))
            case "down":
                down(State(args.dir))
            case "session":
                session(State(args.dir))
    except Failed as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:
        sys.exit(1)


if __name__ == "__main__":
    main()
