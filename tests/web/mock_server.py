"""A server without a model that speaks Continuo's API: what the page's tests run against.

  mock_server.py [--port 8000 --busy --completion --ids --slots 8]   to look at the page by hand

A test says what comes: server.answers[prompt] = Answer(...). What was asked is in server.requests.
"""

import argparse
import json
import socket
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from mock_batch import Batch

ROOT = Path(__file__).resolve().parent.parent.parent
MODULES = ROOT / "build/deps/web"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'; require-trusted-types-for 'script'; trusted-types dompurify"
)


def page_files():
    """{address: file} as the real server has it, and this folder's unit tests."""
    folders = {"": ROOT / "web", "vendor/": MODULES, "unit/": ROOT / "tests/web/unit"}
    files = {
        prefix + str(path.relative_to(folder)): path
        for prefix, folder in folders.items()
        for path in folder.rglob("*")
        if path.is_file()
    }
    return {**files, "": ROOT / "web/index.html"}


@dataclass
class Answer:
    text: str = ""
    delay: float = 0.003  # seconds between pieces
    status: int = 200  # else an error object with `error` instead of an answer
    error: str = ""
    break_after: int = (
        -1
    )  # pieces until `error` comes in the stream, or nothing more where it is ""
    finish: str = "stop"
    cut: int = 0  # the stream comes in pieces of so many bytes; 0 = an event each


@dataclass
class Options:
    chat: bool = True
    text: bool = True
    api_key: str = ""
    loading: int = 0  # times /health answers 503 first
    slots: int = 4
    context: int = 2048
    kv: bool = True
    recurrent: bool = True
    busy: bool = False  # other people's requests, made up
    csp: str = POLICY


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body, kind="application/json", **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(data)),
            **headers,
        }.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status, message, kind="invalid_request_error"):
        self.reply(
            status, {"error": {"message": message, "type": kind, "param": None, "code": None}}
        )

    def authorised(self):
        key = self.server.options.api_key
        if not key or self.headers.get("Authorization") == f"Bearer {key}":
            return True
        self.refuse(
            401, "Wanted the API key as 'Authorization: Bearer KEY'", "authentication_error"
        )
        return False

    def do_GET(self):
        path = self.path.split("?")[0].strip("/")
        options = self.server.options
        if path in self.server.files:
            file = self.server.files[path]
            self.reply(
                200,
                file.read_bytes(),
                TYPES[file.suffix],
                Content_Security_Policy=options.csp,
                X_Content_Type_Options="nosniff",
            )
        elif path == "health":
            self.server.health_polls += 1
            if self.server.health_polls > options.loading:
                return self.reply(200, {"status": "ok"})
            done, total = self.server.health_polls, options.loading + 1
            progress = {"stage": "compile", "done": done, "total": total}
            self.reply(503, {"status": "loading", "progress": progress})
        elif path == "version":
            self.reply(200, {"version": "0.1.0"})
        elif path not in ("slots", "v1/models"):
            self.refuse(404, f"There is no /{path}")
        elif self.authorised():
            models = [
                {
                    "id": self.server.model,
                    "object": "model",
                    "created": 0,
                    "owned_by": "continuo",
                    "max_model_len": options.context,
                    "chat": options.chat,
                    "text": options.text,
                }
            ]
            self.reply(
                200,
                self.server.batch.state()
                if path == "slots"
                else {"object": "list", "data": models},
            )

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        path = self.path.strip("/")
        if not self.authorised():
            return
        self.server.requests.append((path, body))
        if path == "v1/chat/completions":
            self.generate(body, body["messages"][-1]["content"], chat=True)
        elif path == "v1/completions":
            self.generate(body, body["prompt"], chat=False)
        elif path == "tokenize":
            words = str(body.get("prompt", "")).split()
            self.reply(
                200,
                {
                    "count": len(words),
                    "max_model_len": self.server.options.context,
                    "tokens": list(range(len(words))),
                },
            )
        else:
            self.refuse(404, f"There is no /{path}")

    def generate(self, body, prompt, chat):
        key = prompt if isinstance(prompt, str) else tuple(prompt)
        answer = self.server.answers.get(key) or Answer(f"You wrote: {prompt}")
        if answer.status != 200:
            return self.refuse(answer.status, answer.error)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        batch = self.server.batch
        prompt_tokens = len(json.dumps(body.get("messages", prompt))) // 4 + 1
        with batch.lock:
            at = batch.take(prompt_tokens)
        try:
            self.stream(
                body, answer, chat, prompt_tokens, batch.slots[at] if at is not None else {}
            )
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.server.disconnects += 1
            self.close_connection = True
        finally:
            if at is not None:
                batch.slots[at] = None

    def stream(self, body, answer, chat, prompt_tokens, slot):
        slot["position"] = prompt_tokens
        ids = isinstance(body.get("prompt"), list)
        pieces = (
            answer.text.split()
            if ids
            else [answer.text[i : i + 4] for i in range(0, len(answer.text), 4)]
        )
        pieces = pieces[: body.get("max_tokens", len(pieces))]
        if chat:
            self.event(
                answer, {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
            )
        for count, piece in enumerate(pieces):
            if count == answer.break_after:
                if answer.error:
                    self.event(answer, {"error": {"message": answer.error, "type": "server_error"}})
                return
            time.sleep(answer.delay)
            what = {"delta": {"content": piece}} if chat else {"text": piece}
            if ids:
                what = {"text": "", "token_ids": [int(piece)]}
            self.event(answer, {"choices": [{"index": 0, "finish_reason": None, **what}]})
            slot["generated"] = count + 1
            slot["position"] = prompt_tokens + count + 1
        last = {"delta": {}} if chat else {"text": ""}
        self.event(answer, {"choices": [{"index": 0, "finish_reason": answer.finish, **last}]})
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": len(pieces)}
        self.event(answer, {"choices": [], "usage": usage})
        self.event(answer, "[DONE]")

    def event(self, answer, data):
        text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
        data = f"data: {text}\n\n".encode()
        size = answer.cut or len(data)
        for start in range(0, len(data), size):
            part = data[start : start + size]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.flush()


class MockServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, options=None, port=0, model="mock-135m"):
        super().__init__(("127.0.0.1", port), Handler)
        self.options = options or Options()
        self.model = model
        self.files = page_files()
        self.batch = Batch(self.options)
        self.answers, self.requests, self.connections = {}, [], []
        self.health_polls = self.disconnects = 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def handle_error(self, *_):
        pass  # browsers hang up in the middle

    def get_request(self):
        connection, address = super().get_request()
        self.connections.append(connection)
        return connection, address

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
        for connection in self.connections:  # browsers keep theirs open
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--completion", action="store_true", help="a model without a chat template")
    parser.add_argument("--ids", action="store_true", help="a model without a tokenizer")
    parser.add_argument("--api-key", default="")
    arguments = parser.parse_args()
    options = Options(
        chat=not arguments.completion,
        text=not arguments.ids,
        api_key=arguments.api_key,
        slots=arguments.slots,
        busy=arguments.busy,
    )
    with MockServer(options, arguments.port) as server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
