// The page's smaller parts.
import { bounded, Conversation } from "../js/conversation.js";
import { describeLoading } from "../js/connection.js";
import { formatBytes } from "../js/dom.js";
import { parseTokenIds } from "../js/generation.js";
import { parseStops } from "../js/settings.js";
import { equal } from "./check.js";

const storage = (text) => ({
  text,
  getItem() {
    return this.text;
  },
  setItem(_, value) {
    this.text = value;
  },
});
const turn = (role, content, more) => ({ role, content, ...more });

// The contrast of two colours as WCAG defines it.
function contrast(a, b) {
  const luminance = (colour) => {
    const [r, g, bl] = colour.match(/\w\w/g).map((hex) => {
      const c = parseInt(hex, 16) / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * bl;
  };
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

export const tests = {
  "messages take turns and leave failures out": () => {
    const conversation = new Conversation(storage(null));
    conversation.turns = [
      turn("user", "a"),
      turn("assistant", "A"),
      turn("prompt", "p"),
      turn("completion", "P"),
      turn("user", "b"),
      turn("assistant", "", { error: "no" }),
      turn("user", "c"),
      turn("assistant", ""),
    ];
    equal(
      conversation.messages("s").map((m) => `${m.role[0]}:${m.content}`),
      ["s:s", "u:a", "a:A", "u:c"],
    );
    equal(conversation.messages("").length, 3);
  },
  "what is stored may be anything": () => {
    for (const text of [
      "",
      "{",
      "null",
      "3",
      "{}",
      "[null]",
      '[{"role": 1}]',
      '[{"role": "user"}]',
    ]) {
      equal(new Conversation(storage(text)).turns, []);
    }
    equal(new Conversation(storage('[{"role": "user", "content": "a"}]')).turns.length, 1);
  },
  "a full storage harms nothing": () => {
    const full = {
      getItem: () => null,
      setItem: () => {
        throw new Error("full");
      },
    };
    new Conversation(full).save();
  },
  "the oldest turns go first, and a question is first": () => {
    const turns = Array.from({ length: 10 }, (_, at) =>
      turn(at % 2 ? "assistant" : "user", `${at}${"x".repeat(9)}`),
    );
    equal(
      bounded(turns, 5, 1000)
        .map((t) => t.content[0])
        .join(""),
      "6789",
    );
    equal(
      bounded(turns, 100, 45)
        .map((t) => t.content[0])
        .join(""),
      "6789",
    );
    equal(bounded(turns, 100, 5), []);
  },
  "stop strings": () => equal(parseStops("a\n\\n\\n\n\nb\\\\n\\t"), ["a", "\n\n", "b\\n\t"]),
  "token ids": () => {
    equal(parseTokenIds(" 1, 2,3\n4 "), [1, 2, 3, 4]);
    for (const wrong of ["", " , ", "1 a", "-1", "1.5", "12345678901"])
      equal(parseTokenIds(wrong), null);
  },
  bytes: () =>
    equal([0, 1023, 1536, 150 * 2 ** 20].map(formatBytes), ["0 B", "1023 B", "1.5 KiB", "150 MiB"]),
  "loading in words": () => {
    equal(describeLoading({}), "Loading the model\u2026");
    equal(describeLoading({ stage: "compile", done: 3, total: 7 }), "Compiling, 3 of 7");
  },
  "text stands out from its ground in both themes": () => {
    const root = document.documentElement;
    for (const theme of ["light", "dark"]) {
      root.dataset.theme = theme;
      const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
      for (const ground of ["paper", "surface", "sunken"]) {
        for (const text of ["ink", "muted", "accent", "danger"]) {
          const got = contrast(colour(text), colour(ground));
          equal({ theme, ground, text, enough: got >= 4.5 }, { theme, ground, text, enough: true });
        }
      }
      equal(contrast(colour("on-accent"), colour("accent")) >= 4.5, true);
    }
  },
};
