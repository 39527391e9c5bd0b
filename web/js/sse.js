// Server-sent events, as the HTML standard defines the stream: lines end in LF, CR or CRLF, and
// text may be cut anywhere, even inside a line end.

export class SseParser {
  #line = "";
  #data = [];
  #event = "";
  #afterCr = false;
  #first = true;

  // The events that are complete after this piece of text: [{ event, data }].
  push(text) {
    const events = [];
    if (this.#first && text) {
      this.#first = false;
      text = text.replace(/^\uFEFF/, "");
    }
    let from = 0;
    for (let at = 0; at < text.length; at += 1) {
      const c = text[at];
      if (c === "\n" && this.#afterCr) {
        this.#afterCr = false;
        from = at + 1;
        continue;
      }
      this.#afterCr = c === "\r";
      if (c !== "\n" && c !== "\r") continue;
      this.#endLine(this.#line + text.slice(from, at), events);
      this.#line = "";
      from = at + 1;
    }
    this.#line += text.slice(from);
    return events;
  }

  #endLine(line, events) {
    if (line === "") {
      if (this.#data.length) {
        events.push({ event: this.#event || "message", data: this.#data.join("\n") });
      }
      this.#data = [];
      this.#event = "";
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#event = value;
  }
}

// The events of a fetch response's body, as they arrive.
export async function* readEvents(body) {
  const parser = new SseParser();
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    // Whoever stops reading early hangs up, so that the server stops too.
    reader.cancel().catch(() => {});
  }
}
