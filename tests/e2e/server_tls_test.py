"""The server over TLS: to clients that trust its issuer, to those that speak something else, and to
those that say nothing."""

import http.client
import json
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

import openai
from harness import run
from server_harness import (GOLDENS, Server, ServerTestCase, TINY, TestCase, completion, events,
                            greedy_case, unittest)

COMPLETIONS = "/v1/completions"


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True,
                   timeout=60)


def make_certificates(folder):
    """ca.pem, and cert.pem with key.pem for localhost and 127.0.0.1 that it has signed."""
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl(folder, "req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
            "-subj", "/CN=Issuer")
    openssl(folder, "req", *new_key, "-keyout", "key.pem", "-out", "request.pem", "-subj",
            "/CN=localhost")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl(folder, "x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-out", "cert.pem", "-days", "2", "-extfile", "names")


class Tls(ServerTestCase):
    @classmethod
    def setUpClass(cls):
        cls.certificates = Path(tempfile.mkdtemp(prefix="continuo.tls."))
        cls.addClassCleanup(shutil.rmtree, cls.certificates, ignore_errors=True)
        make_certificates(cls.certificates)
        cls.ARGUMENTS = [*TINY, "--slots", "2", "--head-timeout", "1", "--tls-cert",
                         cls.certificates / "cert.pem", "--tls-key", cls.certificates / "key.pem"]
        super().setUpClass()
        cls.trust = ssl.create_default_context(cafile=cls.certificates / "ca.pem")

    def plain(self):
        return socket.create_connection((self.server.host, self.server.port), timeout=20)

    def connect(self, context=None):
        return (context or self.trust).wrap_socket(self.plain(), server_hostname="localhost")

    def https(self):
        return http.client.HTTPSConnection(self.server.host, self.server.port, timeout=20,
                                           context=self.trust)

    def ask(self, connection, method="GET", path="/health", body=None):
        connection.request(method, path, body and json.dumps(body),
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def once(self, *request):
        """ask() on a connection of its own."""
        connection = self.https()
        try:
            return self.ask(connection, *request)
        finally:
            connection.close()

    def wait_idle(self):
        end = time.monotonic() + 20
        while json.loads(self.once("GET", "/slots")[1])["running"] > 0:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def post(self, body, close=True):
        data = json.dumps(body).encode()
        return (f"POST {COMPLETIONS} HTTP/1.1\r\nHost: localhost\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
                f"{'Connection: close' if close else 'A: b'}\r\n\r\n").encode() + data

    @staticmethod
    def read_to_end(connection):
        got = b""
        while part := connection.recv(65536):
            got += part
        connection.close()
        return got

    def test_openai_package_streams(self):
        ids, greedy = greedy_case()
        with openai.OpenAI(base_url=self.server.url + "/v1", api_key="any", max_retries=0,
                           http_client=openai.DefaultHttpxClient(verify=self.trust)) as client:
            for stream in (False, True):
                answer = client.completions.create(
                    model="jamba", prompt=ids, max_tokens=24, temperature=0, stream=stream,
                    extra_body={"ignore_eos": True, "return_token_ids": True})
                got = []
                for part in answer if stream else [answer]:
                    for choice in part.choices:
                        got += getattr(choice, "token_ids", None) or []
                self.assertEqual(got, greedy)

    def test_a_connection_is_kept_and_takes_large_bodies(self):
        self.assertEqual(self.server.scheme, "https")
        connection = self.https()
        self.assertEqual(self.ask(connection)[0], 200)
        held = connection.sock
        status, text = self.ask(connection, "POST", COMPLETIONS, completion(stop=["x" * 3_000_000]))
        self.assertEqual((status, json.loads(text)["error"]["param"]), (400, "stop[0]"))
        for _ in range(2):  # larger than a record, and than what a socket takes at once
            status, page = self.ask(connection, path="/js/app.js")
            self.assertEqual((status, page[-1:]), (200, b"\n"))
        self.assertEqual(self.ask(connection, "POST", COMPLETIONS, completion())[0], 200)
        self.assertIs(connection.sock, held)
        connection.close()

    def test_requests_that_come_in_one_record(self):
        """During an answer. What is decrypted already is read, though the socket does not say so."""
        padded = completion(user="u" * 900)
        connection = self.connect()
        connection.sendall(self.post({**padded, "stream": True, "max_tokens": 40}, False))
        got = connection.recv(100)
        whole = self.post(padded, False) * 7 + self.post({**padded, "stream": True})
        self.assertLess(len(whole), 16000)
        connection.sendall(whole)
        got += self.read_to_end(connection)
        self.assertEqual(got.count(b"HTTP/1.1 200 "), 9)
        self.assertGreaterEqual(len(events(got[got.rindex(b"HTTP/1.1"):])), 4)

    def test_versions_and_protocols(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ssl.create_default_context(cafile=self.certificates / "ca.pem")
            context.minimum_version = context.maximum_version = version
            context.set_alpn_protocols(["h2", "http/1.1"])
            with self.connect(context) as connection:
                self.assertEqual(connection.version(), version.name.replace("_", "."))
                self.assertEqual(connection.selected_alpn_protocol(), "http/1.1")
        for spoil in (lambda c: setattr(c, "maximum_version", ssl.TLSVersion.TLSv1_1),
                      lambda c: c.set_alpn_protocols(["h2"])):
            context = ssl.create_default_context(cafile=self.certificates / "ca.pem")
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.set_ciphers("ALL:@SECLEVEL=0")
            spoil(context)
            with self.assertRaises(ssl.SSLError):
                self.connect(context)
        for reason in ("unsupported protocol", "no application protocol"):
            self.server.wait_for(reason, seconds=10)

    def test_a_client_that_does_not_trust_us_hurts_nobody(self):
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.connect(ssl.create_default_context())
        self.assertEqual(self.once()[0], 200)

    def test_plain_http_is_told_and_closed(self):
        with self.plain() as connection:
            connection.sendall(self.post(completion()))
            head, _, body = self.read_to_end(connection).partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 400 "), head)
        self.assertIn(f"Content-Length: {len(body)}\r\n".encode(), head)
        self.assertIn(b"https://", body)

    def test_who_never_ends_the_handshake_is_dropped(self):
        outgoing = ssl.MemoryBIO()
        half = self.trust.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
        with self.assertRaises(ssl.SSLWantReadError):
            half.do_handshake()
        hello = outgoing.read()
        begun = time.monotonic()
        held = [(self.plain(), start) for start in (b"", hello[:40], hello)]
        for connection, start in held:
            connection.sendall(start)
        metrics = self.once("GET", "/metrics")[1].decode()
        self.assertRegex(metrics, r"(?m)^continuo:http_connections [4-9]$")  # they are counted
        for connection, _ in held:
            self.read_to_end(connection)
        self.assertGreater(time.monotonic() - begun, 0.9)
        self.assertLess(time.monotonic() - begun, 8)
        with self.plain() as connection:  # no TLS at all is known at once
            connection.sendall(b"\x00" * 300)
            self.read_to_end(connection)
        self.server.wait_for("handshake", "too long")
        self.assertEqual(self.once("POST", COMPLETIONS, completion())[0], 200)

    def test_who_leaves_frees_the_slot(self):
        for farewell in (True, False):
            connection = self.connect()
            connection.sendall(self.post(completion(max_tokens=60, stream=True)))
            self.assertIn(b"200", connection.recv(100))
            if farewell:
                connection.setblocking(False)  # sends the farewell and does not wait for ours
                try:
                    connection.unwrap()
                except ssl.SSLError:
                    pass
            connection.close()
            self.wait_idle()


class Options(TestCase):
    def setUp(self):
        super().setUp()
        make_certificates(self.folder)
        openssl(self.folder, "pkey", "-in", "key.pem", "-aes128", "-passout", "pass:secret",
                "-out", "locked.pem")

    def refused(self, *arguments):
        """Before anything is loaded: there is no such model."""
        paths = [self.folder / a if a.endswith((".pem", ".key")) else a for a in arguments]
        return run("serve", "--model", "nowhere", "--port", 0, *paths)

    def test_what_is_wrong_is_said_before_anything_is_loaded(self):
        cert, key = ("--tls-cert", "cert.pem"), ("--tls-key", "key.pem")
        self.assert_fails(self.refused(*cert), "got the certificate alone")
        self.assert_fails(self.refused(*key), "got the key alone")
        self.assert_fails(self.refused("--tls-cert", "", *key), "TLS")
        self.assert_fails(self.refused(*cert, "--tls-key", "none.pem"), "none.pem")
        self.assert_fails(self.refused("--tls-cert", "key.pem", *key), "expected a certificate")
        self.assert_fails(self.refused(*cert, "--tls-key", "ca.key"), "got another one's")
        self.assert_fails(self.refused(*cert, "--tls-key", "locked.pem"), "without a password")

    def test_a_public_address_still_needs_a_key(self):
        self.assert_fails(self.refused("--tls-cert", "cert.pem", "--tls-key", "key.pem", "--host",
                                       "0.0.0.0"), "expected an API key")

    def test_stops_with_a_farewell(self):
        server = Server(GOLDENS / "jamba", self.cache, *TINY, "--slots", "1", "--tls-cert",
                        self.folder / "cert.pem", "--tls-key", self.folder / "key.pem")
        self.addCleanup(server.stop)
        trust = ssl.create_default_context(cafile=self.folder / "ca.pem")
        trust.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        with socket.create_connection((server.host, server.port), timeout=20) as plain:
            idle = trust.wrap_socket(plain, server_hostname="localhost",
                                     suppress_ragged_eofs=False)
            idle.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertIn(b" 200 ", idle.recv(65536))
            time.sleep(0.1)
            begun = time.monotonic()
            server.ask_to_stop()
            self.assertEqual(idle.recv(1), b"")  # not an SSLEOFError
            idle.close()
            server.stop()
            self.assertLess(time.monotonic() - begun, 5)


if __name__ == "__main__":
    unittest.main()
