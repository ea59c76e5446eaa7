"""A supervisor over stand-ins: processes that tell the test what they hear and end as the test tells them."""

import json
import os
import secrets
import signal
import socket
import sys
import threading

from children import children

from lateshift.runtime.supervisor import Supervisor

STAND_IN = """
import json, os, socket, subprocess, sys, threading
told = json.loads(os.environ["_LATESHIFT_PROCESS"])
link = socket.create_connection(("127.0.0.1", int(os.environ["PORT"])))
def say(*words): link.sendall(json.dumps(words).encode() + b"\\n")
say(told["worker"], os.getpid())
def listen():
    for line in sys.stdin:
        say("heard", line.strip())
    say("heard", "the end")
threading.Thread(target=listen, daemon=True).start()
for line in link.makefile():
    if line.startswith("child"):
        say("child", subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid)
    else:
        os._exit(int(line))
"""
COMMAND = (sys.executable, "-S", "-c", STAND_IN)


class StandIn:
    """One worker process, seen from the test."""

    def __init__(self, connection):
        self.connection = connection
        self.file = connection.makefile()
        self.worker, self.pid = self.next()

    def next(self):
        return json.loads(self.file.readline())

    def tell(self, word):
        self.connection.sendall(f"{word}\n".encode())

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

    def close(self):
        self.file.close()
        self.connection.close()


class Stage:
    """A supervisor in a thread, the workers it has started, and what it did, in order."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(20)
        self.port = str(self.server.getsockname()[1])
        self.workers = []
        self.story = []
        self.result = None
        self.thread = None

    def start(self, count, *, rescue=lambda worker, how: None, command=COMMAND, **options):
        def take_back(worker, how):
            self.story.append(("rescue", worker))
            rescue(worker, how)

        self.supervisor = Supervisor(
            count,
            self.configure,
            take_back,
            on_event=lambda text: self.story.append(("event", text)),
            environment={"PORT": self.port},
            command=command,
            **options,
        )
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return [self.next_worker() for _ in range(count)] if command is COMMAND else []

    def configure(self):
        worker = f"w-{secrets.token_hex(3)}"
        self.story.append(("configure", worker))
        return {"worker": worker}

    def run(self):
        self.result = self.supervisor.run()

    def next_worker(self):
        connection, _ = self.server.accept()
        connection.settimeout(20)
        worker = StandIn(connection)
        self.workers.append(worker)
        return worker

    def end(self):
        self.thread.join(20)
        assert not self.thread.is_alive()
        return self.result

    def events(self):
        return " / ".join(text for kind, text in self.story if kind == "event")

    def close(self):
        if self.thread is not None and self.thread.is_alive():
            for _ in range(3):
                self.supervisor.stop()
            self.thread.join()
        for worker in self.workers:
            worker.close()
        self.server.close()
        assert children() == [], "a zombie or an orphan is left"
