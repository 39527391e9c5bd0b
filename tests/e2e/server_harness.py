"""Starts `continuo serve` on a free port, as its users do, and ends it with SIGTERM."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

from harness import BINARY, GOLDENS, TestCase, golden

ADDRESS = re.compile(r"address=http://([\d.]+):(\d+)")
TINY = ["--context", "64"]


class Server:
    """A running server; `log` holds its lines."""

    def __init__(self, model, cache, *arguments, wait=True, port=0, **environment):
        self.process = subprocess.Popen(
            [BINARY, "serve", "--model", str(model), "--port", str(port), "--cache-dir", str(cache),
             *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **environment})
        self.log, self.host, self.port = [], "", 0
        self._heard = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        self.wait_for("listening")
        if wait:
            self.wait_for("ready")

    def _read(self):
        for line in self.process.stderr:
            with self._heard:
                self.log.append(line)
                if found := ADDRESS.search(line):
                    self.host, self.port = found[1], int(found[2])
                self._heard.notify_all()
        with self._heard:
            self.log.append("<end>")
            self._heard.notify_all()

    def wait_for(self, word, seconds=120):
        with self._heard:
            done = self._heard.wait_for(
                lambda: any(word in line for line in self.log) or "<end>" in self.log, seconds)
            if not done or not any(word in line for line in self.log):
                raise AssertionError(f"no {word!r} in:\n" + "".join(self.log))

    @property
    def url(self):
        return f"http://{self.host}:{self.port}"

    def request(self, method, path, body=None, headers=None, timeout=60):
        """(status, headers, text)"""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            if body is not None and not isinstance(body, (bytes, str)):
                body = json.dumps(body)
            connection.request(method, path, body,
                               {"Content-Type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            connection.close()

    def json(self, method, path, body=None, **more):
        status, _, text = self.request(method, path, body, **more)
        return status, json.loads(text)

    def slots(self):
        return self.json("GET", "/slots")[1]

    def wait_idle(self, seconds=20):
        """Until no slot has an owner and nobody waits."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            now = self.slots()
            if now["running"] == 0 and now["waiting"] == 0:
                return
            time.sleep(0.02)
        raise AssertionError(f"slots are still taken: {now}")

    def raw(self, data, timeout=20):
        """Sends bytes as they are; all that comes back until the server closes or is silent."""
        with socket.create_connection((self.host, self.port), timeout=timeout) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            got = b""
            while part := connection.recv(65536):
                got += part
            return got

    def stop(self, seconds=60):
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        finally:
            self.process.kill()


class ServerTestCase(TestCase):
    """One server for all tests of a class: MODEL and ARGUMENTS say which."""

    MODEL = GOLDENS / "jamba"
    ARGUMENTS = [*TINY, "--slots", "3"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = Server(cls.MODEL, cls.cache, *cls.ARGUMENTS)
        cls.addClassCleanup(cls.end)

    @classmethod
    def end(cls):
        code = cls.server.stop()
        if code != 0:
            raise AssertionError(f"exit code {code}:\n" + "".join(cls.server.log))


def greedy_case(case="jamba"):
    """A prompt's ids and what follows them."""
    prompt = golden(case)["prompts"][1]
    return prompt["ids"], prompt["greedy"]


__all__ = ["GOLDENS", "Server", "ServerTestCase", "TINY", "TestCase", "greedy_case", "unittest"]
