"""Starts `continuo serve` on a free port, as its users do, and ends it with SIGTERM."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from harness import BINARY, GOLDENS, TestCase, golden

ADDRESS = re.compile(r'address(?:=|":")(https?)://([\d.]+):(\d+)')
TINY = ["--context", "64"]


class Connection:
    """A socket on which an answer comes."""

    def __init__(self, connected):
        self.socket, self.start = connected, b""
        self.sendall, self.recv, self.close = connected.sendall, connected.recv, connected.close

    def read_to_end(self):
        """All that came, the head included; closes."""
        got = self.start
        while part := self.recv(65536):
            got += part
        self.close()
        return got


class Server:
    """A running server; `log` holds its lines. `options` are Popen's."""

    def __init__(self, model, cache, *arguments, wait=True, port=0, options=None, **environment):
        self.process = subprocess.Popen(
            [BINARY, "serve", "--model", str(model), "--port", str(port), "--cache-dir", str(cache),
             *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **environment}, **(options or {}))
        self.log, self.scheme, self.host, self.port = [], "", "", 0
        self._asked = self._ended = False
        self._heard = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.wait_for("listening")
            if wait:
                self.wait_for("ready")
        except AssertionError:
            self.kill()
            raise

    def _read(self):
        for line in self.process.stderr:
            with self._heard:
                self.log.append(line)
                if found := ADDRESS.search(line):
                    self.scheme, self.host, self.port = found[1], found[2], int(found[3])
                self._heard.notify_all()
        with self._heard:
            self.log.append("<end>")
            self._heard.notify_all()

    def wait_for(self, *words, seconds=120):
        """Until one line of the log has all of these."""
        with self._heard:
            def there():
                return any(all(word in line for word in words) for line in self.log)
            self._heard.wait_for(lambda: there() or "<end>" in self.log, seconds)
            if not there():
                raise AssertionError(f"no line with {words!r} in:\n" + "".join(self.log))

    @property
    def url(self):
        return f"{self.scheme}://{self.host}:{self.port}"

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

    def stream(self, path, body):
        """A connection on which an answer streams; its first bytes have come."""
        connection = self.post(path, {**body, "stream": True})
        connection.start = connection.recv(65536)
        return connection

    def post(self, path, body):
        """A connection on which a request was sent, the last one it may carry."""
        data = json.dumps(body).encode()
        connection = Connection(socket.create_connection((self.host, self.port), timeout=60))
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: {self.host}\r\nConnection: close\r\n"
                           "Content-Type: application/json\r\n"
                           f"Content-Length: {len(data)}\r\n\r\n".encode() + data)
        return connection

    def json(self, method, path, body=None, **more):
        status, _, text = self.request(method, path, body, **more)
        return status, json.loads(text)

    def slots(self):
        return self.json("GET", "/slots")[1]

    def wait_until(self, holds, seconds=20):
        """Until /slots says what `holds` wants."""
        end = time.monotonic() + seconds
        while not holds(now := self.slots()):
            if time.monotonic() > end:
                raise AssertionError(f"not in {seconds} s: {now}")
            time.sleep(0.01)

    def wait_idle(self, seconds=20):
        """Until no slot has an owner and nobody waits."""
        self.wait_until(lambda now: now["running"] == 0 and now["waiting"] == 0, seconds)

    def raw(self, data, timeout=20):
        """Sends bytes as they are; all that comes back until the server closes or is silent."""
        with socket.create_connection((self.host, self.port), timeout=timeout) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            got = b""
            while part := connection.recv(65536):
                got += part
            return got

    def ask_to_stop(self):
        """SIGTERM, once: a second one would cut it short."""
        if not self._asked:
            self.process.send_signal(signal.SIGTERM)
        self._asked = True

    def stop(self, seconds=60):
        """SIGTERM and wait; any exit code but 0 is a failure. Nothing where it was ended before."""
        if self._ended:
            return
        self.ask_to_stop()
        try:
            code = self.process.wait(seconds)
        finally:
            self.kill()
        if code != 0:
            raise AssertionError(f"exit code {code}:\n" + "".join(self.log))

    def kill(self):
        """SIGKILL; all that it said is in the log."""
        self._ended = True
        self.process.kill()
        self.process.wait(20)
        self._reader.join(20)
        self.process.stderr.close()


def text_model(folder, **generation_config):
    """A tiny model that speaks (nonsense): the tokenizer has no more tokens than it has. Its path."""
    model = Path(shutil.copytree(GOLDENS / "llama", Path(folder) / "tiny"))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(GOLDENS / "tokenizer_gpt2" / name, model)
    (model / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
    (model / "generation_config.json").write_text(json.dumps(generation_config))
    return model


class ServerTestCase(TestCase):
    """One server for all tests of a class: MODEL and ARGUMENTS say which."""

    MODEL = GOLDENS / "jamba"
    ARGUMENTS = [*TINY, "--slots", "3"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = Server(cls.MODEL, cls.cache, *cls.ARGUMENTS)
        cls.addClassCleanup(cls.server.stop)


def events(answer):
    """The objects of a stream; each chunk of the body holds whole events."""
    lines = [line[6:] for line in answer.decode().splitlines() if line.startswith("data: ")]
    if not lines or lines[-1] != "[DONE]":
        raise AssertionError(f"a stream ends with [DONE]: {answer[-300:]}")
    return [json.loads(line) for line in lines[:-1]]


class TextTestCase(ServerTestCase):
    """Of text_model(), greedy unless a request says otherwise."""

    ARGUMENTS = ["--context", "256", "--slots", "2"]

    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="continuo.model.")
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        cls.MODEL = text_model(folder, temperature=0)
        super().setUpClass()


def greedy_case(case="jamba"):
    """A prompt's ids and what follows them."""
    prompt = golden(case)["prompts"][1]
    return prompt["ids"], prompt["greedy"]


def completion(**more):
    """A request of a model without a tokenizer."""
    return {"prompt": [5, 7, 9], "max_tokens": 4, "temperature": 0, "ignore_eos": True, **more}


__all__ = ["GOLDENS", "Server", "ServerTestCase", "TINY", "TestCase", "TextTestCase", "completion",
           "events", "greedy_case", "text_model", "unittest"]
