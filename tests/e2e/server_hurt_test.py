"""What clients may do to the server: bad bytes, leaving early, asking too much. After each it
serves the next one."""

import json
import os
import random
import resource
import socket
import time

from server_harness import ServerTestCase, TINY, completion, unittest

COMPLETIONS = "/v1/completions"
POST = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Hurt(ServerTestCase):
    ARGUMENTS = [*TINY, "--slots", "2", "--max-queue", "3"]

    def tearDown(self):
        self.server.wait_idle()
        status, answer = self.server.json("POST", COMPLETIONS, completion())
        self.assertEqual((status, answer["usage"]["completion_tokens"]), (200, 4))

    def test_malformed_http(self):
        for status, bad in (
                (400, b"\x00\xff\x00\xff\r\n\r\n"), (400, b"GET\r\n\r\n"),
                (400, b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n"), (400, b"GET /health HTTP/1.1\r\n\r\n"),
                (400, POST + b"Content-Length: -5\r\n\r\n"),
                (400, POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
                (400, POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
                (411, POST + b"\r\n"), (413, POST + b"Content-Length: 99999999\r\n\r\n"),
                (431, b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"x" * 100000 + b"\r\n\r\n"),
                (431, b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")):
            with self.subTest(bad=bad[:140]):
                head, _, body = self.server.raw(bad).partition(b"\r\n\r\n")
                self.assertTrue(head.startswith(b"HTTP/1.1 %d " % status), head)
                self.assertTrue(json.loads(body)["error"]["message"])

    def test_chunks_byte_by_byte(self):
        """A last chunk in pieces once ended the process."""
        for end in (b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"2\r\n{}\r\n0\r\n\r\n"):
            with socket.create_connection((self.server.host, self.server.port), timeout=20) as slow:
                slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                slow.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n")
                for byte in end:
                    slow.sendall(bytes([byte]))
                    time.sleep(0.002)
                self.assertTrue(slow.recv(1000).startswith(b"HTTP/1.1 400 "), end)

    def test_mutated_requests(self):
        """Valid requests with bytes changed, cut, doubled or moved: each is answered or dropped."""
        seed = int(os.environ.get("SEED", "20261127"))
        chance = random.Random(seed)
        body = json.dumps(completion()).encode()
        sized = b"Content-Length: %d\r\n\r\n" % len(body) + body
        chunks = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        origin = b"Origin: http://localhost\r\nExpect: 100-continue\r\nX-Forwarded-For: 1.2.3.4\r\n"
        valid = [POST + sized, POST + chunks, POST + origin + sized,
                 b"GET /health?x#y HTTP/1.1\r\nHost: [::1]:80\r\n\r\n" * 2,
                 b"GET http://localhost/slots HTTP/1.0\r\n\r\n",
                 b"OPTIONS /tokenize HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n"]
        known = {b"100", b"200", b"204", b"400", b"403", b"404", b"405", b"408", b"411", b"413",
                 b"415", b"429", b"431"}
        statuses, end = set(), time.monotonic() + 3
        while time.monotonic() < end:
            data = bytearray(chance.choice(valid))
            for _ in range(chance.randrange(1, 5)):
                at, size = chance.randrange(len(data)), chance.randrange(1, 20)
                kind = chance.randrange(4)
                if kind == 0:
                    data[at] = chance.randrange(256)
                elif kind == 1 and len(data) > 30:
                    del data[at:at + size]
                else:
                    part = bytes(chance.choice(valid) if kind == 2 else data)[at:at + size]
                    data[chance.randrange(len(data)):0] = part
            answer = self.server.raw(bytes(data))
            if answer:
                self.assertIn(answer[9:12], known, (seed, bytes(data), answer[:300]))
                statuses.add(answer[9:12])
        self.assertLessEqual({b"200", b"400", b"403", b"404"}, statuses)

    def test_bounds_name_their_field(self):
        """What once copied 600 MB on the thread that answers everybody."""
        long = {"prompt": [[1]] * 150, "stop": ["x" * 4_000_000], "max_tokens": 2}
        for _ in range(3):
            sent = self.server.post(COMPLETIONS, long)
            begun = time.monotonic()
            self.assertEqual(self.server.request("GET", "/health")[0], 200)
            self.assertLess(time.monotonic() - begun, 1)
            answer = json.loads(sent.read_to_end().partition(b"\r\n\r\n")[2])["error"]
            self.assertEqual(answer["param"], "stop[0]")
            self.assertIn("at most 1024 bytes, got 4000000", answer["message"])

    def test_silent_bodies_stop_nobody(self):
        held = []
        try:
            for _ in range(32):
                held.append(socket.create_connection((self.server.host, self.server.port),
                                                     timeout=20))
                held[-1].sendall(POST + b"Content-Length: 16777216\r\n\r\n")
            for _ in range(3):
                self.assertEqual(self.server.json("POST", COMPLETIONS, completion())[0], 200)
            self.assertTrue(held[0].recv(1000).startswith(b"HTTP/1.1 408 "))
        finally:
            for connection in held:
                connection.close()

    def test_malformed_json(self):
        for bad in (b"", b"{", b"[]", b"null", b'{"prompt": "\xff\xfe"}', b'{"prompt": 1}',
                    b"[" * 100000, b'{"prompt": [1e99]}', b'{"prompt": [-1]}',
                    b'{"prompt": [5], "max_tokens": "x"}', b'{"prompt": [5], "n": 1000}',
                    b'{"prompt": [5], "logit_bias": {"x": 1}}', b'{"prompt": [5], "seed": 1.5}'):
            with self.subTest(bad=bad[:40]):
                status, _, text = self.server.request("POST", COMPLETIONS, bad)
                self.assertEqual(status, 400, text)
                self.assertTrue(json.loads(text)["error"]["message"])

    def test_paths_and_methods(self):
        self.assertEqual(self.server.request("GET", "/nowhere")[0], 404)
        self.assertEqual(self.server.request("GET", COMPLETIONS)[0], 405)

    def test_a_client_that_leaves_frees_its_slot(self):
        for stream in (True, False, True, False, True, False):
            body = completion(max_tokens=60)
            connection = (self.server.stream if stream else self.server.post)(COMPLETIONS, body)
            connection.close()
        self.server.wait_idle()

    def test_a_full_queue_says_when_to_come_again(self):
        sent = [self.server.post(COMPLETIONS, completion(max_tokens=60)) for _ in range(40)]
        answers = [connection.read_to_end() for connection in sent]
        codes = [answer.split()[1] for answer in answers]
        self.assertEqual(set(codes), {b"200", b"429"})
        refused = answers[codes.index(b"429")]
        self.assertIn(b"retry-after:", refused.lower())

    def test_a_thousand_idle_connections(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        held = []
        try:
            for _ in range(1000):
                held.append(socket.create_connection((self.server.host, self.server.port),
                                                     timeout=60))
            text = self.server.request("GET", "/metrics")[2]
            self.assertGreaterEqual(len(os.listdir(f"/proc/{self.server.process.pid}/fd")), 1000)
            self.assertRegex(text, r"(?m)^continuo:http_connections 100\d$")
            self.assertEqual(self.server.json("POST", COMPLETIONS, completion())[0], 200)
            for connection in held:
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            for connection in held:
                self.assertTrue(connection.recv(1000).startswith(b"HTTP/1.1 200 "))
        finally:
            for connection in held:
                connection.close()

    def test_metrics(self):
        self.server.json("POST", COMPLETIONS, completion())
        status, headers, text = self.server.request("GET", "/metrics")
        self.assertEqual(status, 200)
        self.assertTrue(headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        for name in ("vllm:num_requests_running", "vllm:num_requests_waiting", "continuo:slots",
                     "vllm:kv_cache_usage_perc", "continuo:kv_bytes_in_use",
                     "continuo:recurrent_bytes_in_use", "vllm:prompt_tokens_total",
                     "vllm:generation_tokens_total", "vllm:time_to_first_token_seconds_bucket",
                     "vllm:inter_token_latency_seconds_bucket",
                     "vllm:e2e_request_latency_seconds_bucket",
                     "vllm:request_queue_time_seconds_bucket", "continuo:step_seconds_bucket",
                     "continuo:compile_seconds_total", "vllm:request_success_total"):
            self.assertRegex(text, rf"(?m)^{name}{{")


if __name__ == "__main__":
    unittest.main()
