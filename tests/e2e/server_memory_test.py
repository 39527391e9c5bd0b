"""A server that may have hardly more memory than it has: what does not fit is refused, and what
fits is answered."""

import json
import resource
import socket
import threading

from server_harness import Server, ServerTestCase, TINY, completion, unittest

COMPLETIONS = "/v1/completions"
HEADROOM = 48 << 20
BIG = 15 << 20  # nearly the longest body


def status_bytes(pid, name):
    with open(f"/proc/{pid}/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) << 10


def hostile_bodies():
    """Within the limits of a body, most of them beyond those of a field."""
    yield json.dumps(completion(prompt=[[1]] * 150, stop=["x" * 4_000_000])).encode()
    yield json.dumps(completion(prompt=[5] * (BIG // 3))).encode()
    yield json.dumps(completion(prompt=[[1]] * (BIG // 5))).encode()
    yield json.dumps(completion(logit_bias={str(i): 1 for i in range(1_000_000)})).encode()
    yield json.dumps(completion(user="u" * BIG)).encode()
    yield json.dumps(completion(metadata=[[[]]] * (BIG // 8))).encode()
    yield b"[" + b"{}," * (BIG // 3) + b"{}]"


class Memory(ServerTestCase):
    ARGUMENTS = [*TINY, "--slots", "3"]

    def send(self, body):
        """The answer's status; 0 where the connection was closed instead."""
        head = (f"POST {COMPLETIONS} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n")
        got = b""
        with socket.create_connection((self.server.host, self.server.port), timeout=60) as sent:
            try:
                sent.sendall(head.encode() + body)
                while part := sent.recv(65536):
                    got += part
            except ConnectionError:
                pass
        return int(got.split()[1]) if got.startswith(b"HTTP/1.1 ") else 0

    def send_all(self, bodies):
        """At once."""
        statuses, threads = [], []
        for body in bodies:
            threads.append(threading.Thread(target=lambda b=body: statuses.append(self.send(b))))
            threads[-1].start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(statuses), len(threads))
        return statuses

    def assert_healthy(self):
        self.server.wait_idle()
        self.assertEqual(self.server.json("GET", "/health"), (200, {"status": "ok"}))
        status, answer = self.server.json("POST", COMPLETIONS, completion(return_token_ids=True))
        self.assertEqual(status, 200, answer)
        return answer["choices"][0]["token_ids"]

    def test_memory_that_is_not_there(self):
        first = self.assert_healthy()
        pid = self.server.process.pid
        limit = status_bytes(pid, "VmSize") + HEADROOM
        resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))
        bodies = list(hostile_bodies())
        alone = [status for body in bodies for status in self.send_all([body])]
        self.assertIsNone(self.server.process.poll(), "".join(self.server.log[-5:]))
        self.assertEqual([s for s in alone if not 400 <= s < 600], [], alone)
        together = self.send_all(bodies * 2)
        self.assertIsNone(self.server.process.poll(), "".join(self.server.log[-5:]))
        self.assertEqual([s for s in together if s != 0 and not 400 <= s < 600], [], together)
        self.assertTrue({500, 503} & {*alone, *together}, "the limit was felt")
        self.assertEqual(self.assert_healthy(), first)

    def peak_growth(self, body, status, times):
        """What answering `body` adds to the most memory that the process has had, in MiB."""
        before = status_bytes(self.server.process.pid, "VmHWM")
        for _ in range(times):
            self.assertEqual(self.server.request("POST", COMPLETIONS, body)[0], status)
        return (status_bytes(self.server.process.pid, "VmHWM") - before) / 2**20

    def test_many_prompts_cost_little(self):
        """What once took a copy of the request for each: 600 MB."""
        server = Server(self.MODEL, self.cache, *self.ARGUMENTS)  # its peak is its own
        self.addCleanup(server.stop)
        self.server = server
        self.assert_healthy()
        start = status_bytes(server.process.pid, "VmHWM") / 2**20
        prompts = [[1]] * 150
        refused = self.peak_growth(completion(prompt=prompts, stop=["x" * 4_000_000]), 400, 3)
        taken = self.peak_growth(completion(
            prompt=prompts, max_tokens=2, stop_token_ids=list(range(10, 380)),
            logit_bias={str(i): -1 for i in range(10, 380)}), 200, 3)
        print(f"peak memory {start:.0f} MiB, {refused:+.1f} MiB by 150 prompts with a stop of 4 MB, "
              f"{taken:+.1f} MiB by 150 that are answered")
        self.assertLess(refused, 64)  # some copies of the body, none for each prompt
        self.assertLess(taken, 64)
        self.assert_healthy()


if __name__ == "__main__":
    unittest.main()
