// The turns on the page, kept in localStorage within bounds.

const KEY = "continuo.conversation";
const MAX_TURNS = 200;
const MAX_CHARACTERS = 400_000;

// A turn: { role: "user" | "assistant" | "prompt" | "completion", content, ids?, finish?, figures?,
// error? }. A completion continues the prompt before it.
export class Conversation {
  turns = [];

  constructor(storage = localStorage) {
    this.storage = storage;
    try {
      const turns = JSON.parse(storage.getItem(KEY) ?? "[]");
      this.turns = turns.filter(
        (turn) => typeof turn.role === "string" && typeof turn.content === "string",
      );
    } catch {
      this.turns = [];
    }
  }

  save() {
    const kept = bounded(this.turns);
    try {
      this.storage.setItem(KEY, JSON.stringify(kept));
    } catch {
      // Full, or forbidden: the page works without.
    }
  }

  clear() {
    const before = this.turns;
    this.turns = [];
    this.save();
    return before;
  }

  // What a chat request sends: the answered questions, and the last one. Without failed answers,
  // since templates insist on taking turns.
  messages(system) {
    const chat = this.turns.filter((turn) => turn.role === "user" || turn.role === "assistant");
    const messages = [];
    chat.forEach((turn, at) => {
      const next = chat[at + 1];
      const answered = next?.role === "assistant" && next.content;
      if (
        turn.role === "user" &&
        (answered || !chat.slice(at + 1).some((later) => later.role === "user"))
      ) {
        messages.push({ role: "user", content: turn.content });
        if (answered) messages.push({ role: "assistant", content: next.content });
      }
    });
    if (system) messages.unshift({ role: "system", content: system });
    return messages;
  }
}

// The newest turns that fit, always starting with what a person wrote.
export function bounded(turns, maxTurns = MAX_TURNS, maxCharacters = MAX_CHARACTERS) {
  let from = turns.length;
  let characters = 0;
  while (from > 0 && turns.length - from < maxTurns) {
    const { content, ids } = turns[from - 1];
    characters += content.length + 8 * (ids?.length ?? 0);
    if (characters > maxCharacters) break;
    from -= 1;
  }
  while (from < turns.length && !["user", "prompt"].includes(turns[from].role)) from += 1;
  return turns.slice(from);
}
