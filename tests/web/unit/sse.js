// The parser of server-sent events.
import { SseParser } from "../js/sse.js";
import { equal } from "./check.js";

const pushAll = (pieces) => {
  const parser = new SseParser();
  return pieces.flatMap((piece) => parser.push(piece));
};
const data = (pieces) => pushAll(pieces).map((event) => event.data);

export const tests = {
  "one event": () => equal(pushAll(["data: a\n\n"]), [{ event: "message", data: "a" }]),
  "every border in every kind of line end": () => {
    for (const end of ["\n", "\r", "\r\n"]) {
      const stream = [
        "data: one",
        "data: more",
        "",
        ": a comment",
        "event: x",
        "data:two\u00e9",
        "",
        "",
      ].join(end);
      for (let at = 0; at <= stream.length; at += 1) {
        for (let next = at; next <= stream.length; next += 7) {
          const events = pushAll([stream.slice(0, at), stream.slice(at, next), stream.slice(next)]);
          equal(events, [
            { event: "message", data: "one\nmore" },
            { event: "x", data: "two\u00e9" },
          ]);
        }
      }
    }
  },
  "one character at a time": () =>
    equal(data([...'data: {"a": 1}\r\n\r\ndata: [DONE]\r\n\r\n']), ['{"a": 1}', "[DONE]"]),
  "an event without its blank line is not given": () =>
    equal(data(["data: a\n\ndata: b\n"]), ["a"]),
  "only the first space after the colon goes": () =>
    equal(data(["data:  a\ndata\ndata:\n\n"]), [" a\n\n"]),
  "no data, no event": () => equal(data(["event: x\n\n\n\n:\n\nid: 3\n\n"]), []),
  "a byte order mark at the start": () =>
    equal(data(["\uFEFFdata: a\n\n", "data: \uFEFFb\n\n"]), ["a", "\uFEFFb"]),
};
