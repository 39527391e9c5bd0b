"""A minute of everything at once: random requests, clients that leave, malformed input. Every
accepted request is answered once, no slot is lost, memory stays flat. SEED and SOAK_SECONDS set it.
"""

import json
import os
import random
import threading
import time

from server_harness import ServerTestCase, TINY, unittest

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
SEED = int(os.environ.get("SEED", "20261125"))
CLIENTS = 12


def resident_mib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


class Soak(ServerTestCase):
    ARGUMENTS = [*TINY, "--slots", "4", "--max-queue", "10"]

    def body(self, chance):
        request = {"prompt": [chance.randrange(1, 200) for _ in range(chance.randrange(1, 40))],
                   "max_tokens": chance.randrange(1, 20), "ignore_eos": True,
                   "temperature": chance.choice([0, 0.7, 1.3]), "n": chance.choice([1, 1, 1, 2])}
        if chance.random() < 0.2:
            request["repetition_penalty"] = 1.1
        return request

    def one(self, chance, answers):
        kind = chance.random()
        if kind < 0.6:
            self.ask(self.body(chance), f"soak-{chance.getrandbits(64):x}", answers)
        elif kind < 0.85:  # leaves in the middle
            connection = self.server.post("/v1/completions", {**self.body(chance), "stream": True})
            if chance.random() < 0.7:
                connection.recv(200)
            connection.close()
        else:
            bad = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 200)))
            if chance.random() < 0.5:
                answer = self.server.raw(bad + b"\r\n\r\n")
                self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), (bad, answer))
            else:
                self.assertEqual(self.server.request("POST", "/v1/completions", bad)[0], 400)

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

    def metric(self, name):
        """The sum over its labels."""
        lines = self.server.request("GET", "/metrics")[2].splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name + "{"))

    def test_soak(self):
        answers, failures = [], []

        def client(seed):
            chance = random.Random(seed)
            try:
                while time.monotonic() < end:
                    self.one(chance, answers)
            except Exception as failure:  # shown by the main thread
                failures.append(repr(failure))

        memory = []
        end = time.monotonic() + SECONDS
        threads = [threading.Thread(target=client, args=(SEED + i,)) for i in range(CLIENTS)]
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
        # Of every answer that was begun the end is known, once.
        self.assertEqual(self.metric("vllm:request_success_total"),
                         self.metric("vllm:request_params_n_sum"))
        settled = max(memory[5:10])
        self.assertLess(max(memory[10:]), settled + 30, f"MiB over time: {memory}")
        print(f"{len(answers)} answers, {answers.count(429)} refused, "
              f"{memory[5]:.0f} -> {memory[-1]:.0f} MiB")


if __name__ == "__main__":
    unittest.main()
