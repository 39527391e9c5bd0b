#!/usr/bin/env python3
"""Measures `continuo serve` from outside: so many streams at once, each over HTTP with server-sent
events, and a thousand idle connections held meanwhile. Prints one table.

The client (httpx2, as tests/requirements.txt pins it) runs on the same machine and takes its share.
"""

import argparse
import asyncio
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "build/deps/python"))
import httpx2  # noqa: E402


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", default="smollm2", help="as scripts/fetch-model.sh takes it")
    parser.add_argument("--binary", default=str(ROOT / "build/continuo"))
    parser.add_argument("--streams", default="1,8,64,256", help="at once, one line each")
    parser.add_argument("--rounds", type=int, default=1, help="requests of each stream; at least 8 in all")
    parser.add_argument("--prompt", type=int, default=64, help="tokens of a prompt")
    parser.add_argument("--tokens", type=int, default=32, help="tokens of an answer")
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--idle", type=int, default=1000, help="connections held in the last line")
    return parser.parse_args()


class Server:
    """The program on a free port; `url` once it is ready."""

    def __init__(self, given):
        model = subprocess.run([ROOT / "scripts/fetch-model.sh", given.model], check=True,
                               stdout=subprocess.PIPE, text=True).stdout.strip()
        self.process = subprocess.Popen(
            [given.binary, "serve", "--model", model, "--port", "0", "--slots", str(given.slots),
             "--context", str(given.prompt + given.tokens), "--idle-timeout", "600",
             "--log-json"],
            stderr=subprocess.PIPE, text=True)
        self.url = None
        for line in self.process.stderr:
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("event") == "ready":
                self.url = event["address"]
                break
        if self.url is None:
            sys.exit(f"serve.py: {given.binary} serve --model {model} did not start")
        # What it says from here on is not wanted, but must be taken.
        self.drain = subprocess.Popen(["cat"], stdin=self.process.stderr, stdout=subprocess.DEVNULL)

    def resident_mib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.drain.wait(60)
        if code != 0:
            sys.exit(f"serve.py: the server ended with {code}")


class Load:
    """Requests of one kind, and the times of their tokens."""

    def __init__(self, client, pool, given):
        self.client, self.pool, self.given = client, pool, given
        self.chance = random.Random(7)
        self.first, self.between, self.tokens = [], [], 0

    def body(self):
        at = self.chance.randrange(len(self.pool) - self.given.prompt)
        return {"prompt": self.pool[at:at + self.given.prompt], "max_tokens": self.given.tokens,
                "stream": True, "return_token_ids": True, "ignore_eos": True, "temperature": 0}

    async def one(self):
        start = last = time.perf_counter()
        got = 0
        async with self.client.stream("POST", "/v1/completions", json=self.body()) as answer:
            if answer.status_code != 200:
                raise RuntimeError(f"{answer.status_code}: {await answer.aread()}")
            async for line in answer.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                count = len(json.loads(line[6:])["choices"][0]["token_ids"])
                if count == 0:
                    continue
                now = time.perf_counter()
                if got == 0:
                    self.first.append(now - start)
                else:
                    self.between.append(now - last)
                got, last = got + count, now
        if got != self.given.tokens:
            raise RuntimeError(f"wanted {self.given.tokens} tokens, got {got}")
        self.tokens += got

    async def run(self, streams, rounds):
        """Seconds."""
        async def stream():
            for _ in range(rounds):
                await self.one()

        start = time.perf_counter()
        await asyncio.gather(*[stream() for _ in range(streams)])
        return time.perf_counter() - start

    def line(self, name, seconds, server):
        def percentiles(values):
            cuts = statistics.quantiles(values, n=100, method="inclusive")
            return f"{cuts[49] * 1000:,.0f} | {cuts[98] * 1000:,.0f}"

        return (f"| {name} | {len(self.first)} | {self.tokens / seconds:,.1f} | {percentiles(self.first)}"
                f" | {percentiles(self.between)} | {server.resident_mib():,.0f} |")


async def token_pool(client):
    """Ids of a text; of a model without a tokenizer ids that any has."""
    text = (ROOT / "docs/architecture.md").read_text()
    answer = await client.post("/tokenize", json={"prompt": text, "add_special_tokens": False})
    return answer.json()["tokens"] if answer.status_code == 200 else list(range(1, 100)) * 50


async def ask_health(reader, writer):
    writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head)
    await reader.readexactly(int(re.search(rb"(?i)content-length: (\d+)", head)[1]))


async def idle_connections(server, count):
    """Kept after an answer each."""
    host, port = server.url.removeprefix("http://").rsplit(":", 1)
    held = []
    for _ in range(count):
        held.append(await asyncio.open_connection(host, int(port)))
        await ask_health(*held[-1])
    return held


async def measure(given, server):
    unlimited = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(base_url=server.url, timeout=None, limits=unlimited) as client:
        pool = await token_pool(client)
        await Load(client, pool, given).run(2, 1)
        print(f"{given.model}, {given.slots} slots, prompts of {given.prompt} tokens, answers of "
              f"{given.tokens}, {os.cpu_count()} cores\n")
        print("| streams | requests | tok/s | first token ms p50 | p99 | between tokens ms p50 | p99 "
              "| resident MiB |\n|---|---|---|---|---|---|---|---|")
        for streams in map(int, given.streams.split(",")):
            load = Load(client, pool, given)
            seconds = await load.run(streams, max(given.rounds, -(-8 // streams)))
            print(load.line(streams, seconds, server), flush=True)
        if given.idle:
            held = await idle_connections(server, given.idle)
            load = Load(client, pool, given)
            seconds = await load.run(1, 8)
            print(load.line(f"1, beside {given.idle:,} idle", seconds, server))
            for connection in held:
                await ask_health(*connection)
            for _, writer in held:
                writer.close()


def main():
    given = options()
    server = Server(given)
    try:
        asyncio.run(measure(given, server))
    finally:
        server.stop()


if __name__ == "__main__":
    main()
