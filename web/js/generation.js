// Streams one answer, from a chat or from a prompt, and measures it.
import { postStream } from "./api.js";

// An answer cut short by OpenAI's 16 tokens helps nobody.
const COMPLETION_TOKENS = 256;

export function chatRequest(model, messages, settings) {
  return {
    path: "v1/chat/completions",
    body: { model: model.id, messages, ...settings },
  };
}

// prompt: text, or token ids for a model without a tokenizer.
export function completionRequest(model, prompt, settings) {
  const body = { model: model.id, prompt, max_tokens: COMPLETION_TOKENS, ...settings };
  if (Array.isArray(prompt)) {
    body.return_token_ids = true;
    delete body.stop;
  }
  return { path: "v1/completions", body };
}

// "1, 2 3" -> [1, 2, 3]; null where it is anything else.
export function parseTokenIds(text) {
  const words = text.split(/[\s,]+/).filter(Boolean);
  if (!words.length || !words.every((word) => /^\d{1,9}$/.test(word))) return null;
  return words.map(Number);
}

// Time to first token, and tokens a second from the first to the last. Until the server has said
// how many tokens it was, pieces stand for tokens.
class Meter {
  #start = performance.now();
  #first = 0;
  #last = 0;
  #pieces = 0;

  piece() {
    this.#last = performance.now();
    this.#first ||= this.#last;
    this.#pieces += 1;
  }

  figures(usage) {
    const tokens = usage?.completion_tokens ?? this.#pieces;
    const seconds = (this.#last - this.#first) / 1000;
    return {
      tokens,
      prompt_tokens: usage?.prompt_tokens,
      first: this.#first ? (this.#first - this.#start) / 1000 : null,
      rate: tokens > 1 && seconds > 0.02 ? (tokens - 1) / seconds : null,
    };
  }
}

// Runs a request; onPiece({ text, ids, figures }) hears what has come so far. Resolves to the same
// with `finish`; "stopped" where the signal ended it.
export async function generate({ path, body }, signal, onPiece) {
  const meter = new Meter();
  let text = "";
  let ids = [];
  let usage = null;
  let finish = null;
  const state = () => ({ text, ids, finish, figures: meter.figures(usage) });
  const streamed = { ...body, stream: true, stream_options: { include_usage: true } };
  try {
    for await (const chunk of postStream(path, streamed, signal)) {
      usage = chunk.usage ?? usage;
      const choice = chunk.choices?.[0];
      if (!choice) continue;
      const piece = choice.delta?.content ?? choice.text ?? "";
      const newIds = choice.token_ids ?? [];
      finish = choice.finish_reason ?? finish;
      if (!piece && !newIds.length) continue;
      text += piece;
      ids = ids.concat(newIds);
      meter.piece();
      onPiece(state());
    }
  } catch (error) {
    if (error.name !== "AbortError") throw Object.assign(error, { state: state() });
    finish = "stopped";
  }
  return state();
}
