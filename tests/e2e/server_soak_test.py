"""Half a minute of everything at once: random requests and hostile clients that leave, trickle, send
far too much or what is malformed, or have the model compute NaN. Every accepted request is answered
once, no slot is lost, memory stays flat, and at the end an answer is what it was at the start. SEED
and SOAK_SECONDS set it.
"""

import json
import os
import random
import shutil
import socket
import tempfile
import threading
import time
from pathlib import Path

from server_harness import GOLDENS, ServerTestCase, TINY, completion, unittest
from spoiled import spoil

SECONDS = float(os.environ.get("SOAK_SECONDS", "30"))
SEED = int(os.environ.get("SEED", "20261125"))
CLIENTS = 12
BAD = 300  # the token whose row is NaN; no healthy prompt has it, and no answer can

HEAD = ("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: application/json\r\n{}\r\n\r\n")
IDLE = 24  # sockets that announce 16 MiB and send nothing: more than once stopped every POST


def resident_mib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


class Soak(ServerTestCase):
    ARGUMENTS = [*TINY, "--slots", "4", "--max-queue", "10"]

    @classmethod
    def setUpClass(cls):
        folder = Path(tempfile.mkdtemp(prefix="continuo.model."))
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        cls.MODEL = folder / "spoiled"
        spoil(GOLDENS / "jamba", cls.MODEL, float("nan"), BAD, answered=False)
        super().setUpClass()

    def body(self, chance):
        request = {"prompt": [chance.randrange(1, 200) for _ in range(chance.randrange(1, 40))],
                   "max_tokens": chance.randrange(1, 20), "ignore_eos": True,
                   "temperature": chance.choice([0, 0.7, 1.3]), "top_k": 40,
                   "n": chance.choice([1, 1, 1, 2])}
        if chance.random() < 0.2:
            request["repetition_penalty"] = 1.1
        return request

    def not_a_number(self, chance, ends):
        """A prompt with the spoiled token: an error of its own, streaming or not."""
        body = self.body(chance)
        body["prompt"].insert(chance.randrange(len(body["prompt"]) + 1), BAD)
        body["stream"] = chance.random() < 0.5
        answer = self.server.post("/v1/completions", body).read_to_end()
        status = int(answer.split()[1])
        self.assertIn(status, (500, 429), answer)
        ends.append(status)
        if status == 500:
            self.assertIn(b'"not_finite"', answer)

    def one(self, chance, answers, ends):
        kind = chance.random()
        if kind < 0.1:
            self.not_a_number(chance, ends)
        elif kind < 0.6:
            self.ask(self.body(chance), f"soak-{chance.getrandbits(64):x}", answers)
        elif kind < 0.85:  # leaves in the middle
            connection = self.server.post("/v1/completions", {**self.body(chance), "stream": True})
            if chance.random() < 0.7:
                connection.recv(200)
            connection.close()
        elif kind < 0.9:
            self.too_much(chance)
        elif kind < 0.93:
            self.trickle(chance)
        else:
            bad = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 200)))
            if chance.random() < 0.5:
                answer = self.server.raw(bad + b"\r\n\r\n")
                self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), (bad, answer))
            else:
                self.assertEqual(self.server.request("POST", "/v1/completions", bad)[0], 400)

    def too_much(self, chance):
        """A field beyond its bound, in a body of up to some megabytes: its 400 names it."""
        field, value = chance.choice([
            ("prompt", [5] * chance.randrange(100, 500_000)),
            ("prompt", [[1]] * chance.randrange(1025, 5000)),
            ("stop", ["x" * chance.randrange(1025, 4_000_000)]),
            ("stop", ["x"] * chance.randrange(17, 1000)),
            ("logit_bias", {str(i): 1 for i in range(chance.randrange(200, 380), 1000)})])
        status, _, text = self.server.request("POST", "/v1/completions",
                                              {**completion(), field: value})
        self.assertEqual(status, 400, text)
        self.assertTrue(json.loads(text)["error"]["param"].startswith(field), text)

    def trickle(self, chance):
        """A body that comes byte by byte, until the client has had enough."""
        with socket.create_connection((self.server.host, self.server.port), timeout=20) as slow:
            slow.sendall(HEAD.format("Content-Length: 16777216").encode())
            for _ in range(chance.randrange(1, 8)):
                slow.sendall(b" ")
                time.sleep(0.05)

    def hold_idle(self, end):
        """Silent bodies, made anew when the server ends them."""
        while time.monotonic() < end:
            held = [socket.create_connection((self.server.host, self.server.port), timeout=20)
                    for _ in range(IDLE)]
            for each in held:
                each.sendall(HEAD.format("Content-Length: 16777216").encode())
            answer = held[0].recv(1000)
            self.assertTrue(answer.startswith(b"HTTP/1.1 408 "), answer)
            for each in held:
                each.close()

    def healthy(self):
        status, answer = self.server.json("POST", "/v1/completions",
                                          completion(max_tokens=20, return_token_ids=True))
        self.assertEqual(status, 200, answer)
        return answer["choices"][0]["token_ids"]

    def ask(self, request, name, answers):
        status, headers, text = self.server.request("POST", "/v1/completions", request,
                                                    {"X-Request-Id": name})
        answer = json.loads(text)
        answers.append(status)
        self.assertEqual(headers["X-Request-Id"], name)
        if status != 200:
            self.assertEqual(status, 429, text)
            return
        self.assertEqual(answer["id"], "cmpl-" + name)
        self.assertEqual(len(answer["choices"]), request["n"])
        self.assertEqual(answer["usage"]["completion_tokens"], request["n"] * request["max_tokens"])

    def metric(self, name, label=""):
        """The sum over its labels, or over the lines that have `label`."""
        lines = self.server.request("GET", "/metrics")[2].splitlines()
        return sum(float(line.split()[-1]) for line in lines
                   if line.startswith(name + "{") and label in line)

    def test_soak(self):
        answers, not_finite, failures = [], [], []

        def guarded(work, *arguments):
            try:
                work(*arguments)
            except Exception as failure:  # shown by the main thread
                failures.append(repr(failure))

        def client(seed):
            chance = random.Random(seed)
            while time.monotonic() < end:
                self.one(chance, answers, not_finite)

        memory = []
        first = self.healthy()
        end = time.monotonic() + SECONDS
        threads = [threading.Thread(target=guarded, args=(client, SEED + i))
                   for i in range(CLIENTS)]
        threads.append(threading.Thread(target=guarded, args=(self.hold_idle, end)))
        for thread in threads:
            thread.start()
        while time.monotonic() < end:
            time.sleep(SECONDS / 20)
            memory.append(resident_mib(self.server.process.pid))
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [], f"SEED={SEED}")
        self.server.wait_idle()
        self.assertEqual([slot["state"] for slot in self.server.slots()["slots"]], ["free"] * 4)
        self.assertGreater(answers.count(200), 0.9 * len(answers))
        failed = not_finite.count(500)
        self.assertGreater(failed, SECONDS / 5)
        self.assertGreaterEqual(
            self.metric("vllm:request_success_total", 'finished_reason="not_finite"'), failed)
        # Of every answer that was begun the end is known, once.
        self.assertEqual(self.metric("vllm:request_success_total"),
                         self.metric("vllm:request_params_n_sum"))
        self.assertEqual(self.healthy(), first)
        settled = max(memory[5:10])
        self.assertLess(max(memory[10:]), settled + 30, f"MiB over time: {memory}")
        print(f"{len(answers)} answers, {answers.count(429)} refused, {failed} not finite, "
              f"{memory[5]:.0f} -> {memory[-1]:.0f} MiB")


if __name__ == "__main__":
    unittest.main()
