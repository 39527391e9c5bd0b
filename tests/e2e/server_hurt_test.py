"""What clients may do to the server: bad bytes, leaving early, asking too much. After each it
serves the next one."""

import json
import os
import resource
import socket

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
