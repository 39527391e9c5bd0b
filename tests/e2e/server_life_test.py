"""How the server starts, stops and is hurt: bad bytes, clients that leave, full queues, faults."""

import json
import shutil
import signal
import socket
import subprocess
import time

from harness import BINARY
from server_harness import GOLDENS, Server, ServerTestCase, TestCase, TINY, greedy_case, unittest

COMPLETIONS = "/v1/completions"


def completion(**more):
    return {"prompt": [5, 7, 9], "max_tokens": 4, "temperature": 0, "ignore_eos": True, **more}


class Hurt(ServerTestCase):
    ARGUMENTS = [*TINY, "--slots", "2", "--max-queue", "3"]

    def tearDown(self):
        self.server.wait_idle()
        status, answer = self.server.json("POST", COMPLETIONS, completion())
        self.assertEqual((status, answer["usage"]["completion_tokens"]), (200, 4))

    def test_malformed_http(self):
        for bad in (b"\x00\xff\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                    b"POST /v1/completions HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                    b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                    b"GET / HTTP/1.1\r\nA: " + b"x" * 100000 + b"\r\n\r\n"):
            with self.subTest(bad=bad[:40]):
                answer = self.server.raw(bad)
                self.assertTrue(answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:200])

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
        body = json.dumps(completion(max_tokens=60, stream=True)).encode()
        for _ in range(6):
            connection = socket.create_connection((self.server.host, self.server.port))
            connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: a\r\n"
                               b"Content-Type: application/json\r\n"
                               b"Content-Length: %d\r\n\r\n" % len(body) + body)
            connection.recv(100)
            connection.close()
        self.server.wait_idle()

    def test_a_full_queue_says_when_to_come_again(self):
        body = json.dumps(completion(max_tokens=60)).encode()
        request = (b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                   b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        connections = [socket.create_connection((self.server.host, self.server.port), timeout=60)
                       for _ in range(40)]
        for connection in connections:
            connection.sendall(request)
        answers = []
        for connection in connections:
            got = b""
            while part := connection.recv(65536):
                got += part
            answers.append(got)
            connection.close()
        codes = [answer.split()[1] for answer in answers]
        self.assertEqual(set(codes), {b"200", b"429"})
        refused = answers[codes.index(b"429")]
        self.assertIn(b"retry-after:", refused.lower())

    def test_a_thousand_idle_connections(self):
        held = [socket.create_connection((self.server.host, self.server.port))
                for _ in range(1000)]
        try:
            for connection in (held[0], held[500], held[999]):
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertIn(b"200", connection.recv(1000))
        finally:
            for connection in held:
                connection.close()

    def test_metrics(self):
        self.server.json("POST", COMPLETIONS, completion())
        status, headers, text = self.server.request("GET", "/metrics")
        self.assertEqual(status, 200)
        for name in ("vllm:num_requests_running", "vllm:num_requests_waiting",
                     "vllm:prompt_tokens_total", "vllm:generation_tokens_total",
                     "vllm:time_to_first_token_seconds_bucket", "vllm:request_success_total",
                     "vllm:e2e_request_latency_seconds_bucket"):
            self.assertIn(name, text)


class Life(TestCase):
    MODEL = GOLDENS / "llama"

    def serve(self, cache=None, **more):
        server = Server(self.MODEL, cache or self.cache, *TINY, "--slots", "2", **more)
        self.addCleanup(server.stop)
        return server

    def test_health_while_loading_then_drain(self):
        server = self.serve(self.folder / "cold", wait=False)
        status, answer = server.json("GET", "/health")
        self.assertIn((status, answer["status"]), ((503, "loading"), (200, "ok")))
        server.wait_for("ready")
        self.assertEqual(server.json("GET", "/health")[0], 200)
        body = json.dumps(completion(max_tokens=60)).encode()
        connection = socket.create_connection((server.host, server.port), timeout=60)
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json"
                           b"\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        end = time.monotonic() + 20
        while server.slots()["running"] == 0 and time.monotonic() < end:
            if server.json("GET", "/slots")[1]["totals"]["generated_tokens"] > 0:
                break
        self.assertEqual(server.stop(), 0)
        got = b""
        while part := connection.recv(65536):
            got += part
        connection.close()
        self.assertIn(b"200 OK", got)

    def test_a_second_start_compiles_nothing(self):
        self.assertEqual(self.serve().stop(), 0)
        server = self.serve()
        ready = next(line for line in server.log if "ready" in line)
        self.assertIn("compiled=0", ready)

    def test_killed_while_it_writes_its_cache(self):
        cache = self.folder / "cache"
        for wait in (0.3, 0.8, 1.5):
            server = self.serve(cache, wait=False)
            time.sleep(wait)
            server.process.send_signal(signal.SIGKILL)
            server.process.wait(20)
        server = self.serve(cache)
        ids, greedy = greedy_case("llama")
        answer = server.json("POST", COMPLETIONS, completion(prompt=ids, max_tokens=24,
                                                             return_token_ids=True))[1]
        self.assertEqual(answer["choices"][0]["token_ids"], greedy)

    def test_a_cache_that_cannot_be_written(self):
        (self.folder / "file").write_text("")
        server = self.serve(self.folder / "file" / "cache")
        self.assertEqual(server.json("GET", "/health")[0], 200)

    def test_the_model_goes_away(self):
        model = self.copy("llama")
        server = Server(model, self.cache, *TINY, "--slots", "2")
        self.addCleanup(server.stop)
        shutil.rmtree(model)
        self.assertEqual(server.json("POST", COMPLETIONS, completion())[0], 200)

    def test_faults_at_the_start(self):
        def fails(*arguments):
            return subprocess.run([BINARY, "serve", *map(str, arguments)], capture_output=True,
                                  text=True, timeout=120)

        self.assert_serve_fails(fails("--model", self.folder / "none", "--port", 0), "none")
        self.assert_serve_fails(
            fails("--model", self.MODEL, "--port", 0, "--plugin", "/no/plugin.so"), "/no/plugin.so")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.assert_serve_fails(fails("--model", self.MODEL, "--port", port), str(port))

    def assert_serve_fails(self, done, part):
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertRegex(done.stderr, r"(?m)^continuo: \S")
        self.assertIn(part, done.stderr)


if __name__ == "__main__":
    unittest.main()
