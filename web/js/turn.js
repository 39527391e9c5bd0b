// One turn of the transcript as an element.
import { copyButton, el, formatCount, iconButton } from "./dom.js";
import { MarkdownView } from "./markdown.js";

const SPEAKERS = { user: "You", assistant: "Answer", prompt: "Prompt", completion: "Continuation" };
const FINISHES = {
  length: "reached the token limit",
  stopped: "stopped by you",
  cancelled: "cancelled",
  deadline: "ran out of time",
  error: "failed",
};

function figuresText({ figures, finish }) {
  const parts = [];
  if (figures?.rate) parts.push(`${figures.rate.toFixed(1)} tok/s`);
  if (figures?.first != null) parts.push(`${figures.first.toFixed(2)} s to first token`);
  if (figures?.tokens)
    parts.push(`${formatCount(figures.tokens)} ${figures.tokens === 1 ? "token" : "tokens"}`);
  if (FINISHES[finish]) parts.push(FINISHES[finish]);
  return parts.join(" \u00b7 ");
}

export class TurnView {
  #markdown = null;
  #plain = null;

  // actions: { regenerate, proceed }, called by the last answer's buttons. prompt: what a
  // completion reads on from, shown before it.
  constructor(turn, actions, prompt = "") {
    this.turn = turn;
    this.figures = el("span.figures");
    this.buttons = el("span.actions");
    this.error = el("p.error", { role: "alert", hidden: true });
    this.node = el(`article.turn.${turn.role}`, { "aria-label": SPEAKERS[turn.role] });
    if (turn.role === "assistant") {
      this.#markdown = new MarkdownView();
      this.node.append(this.#markdown.node);
    } else {
      this.#plain = el("span.text", {}, turn.content);
      this.node.append(el("div.plain", {}, el("span.given", {}, prompt), this.#plain));
    }
    if (this.isAnswer) {
      this.node.append(this.error, el("footer.turn-foot", {}, this.figures, this.buttons));
      this.buttons.append(
        copyButton("Copy answer", () => this.turn.content),
        iconButton("again", "Regenerate", actions.regenerate),
      );
      this.buttons.lastChild.classList.add("last-only");
      if (turn.role === "completion") {
        this.buttons.append(iconButton("continue", "Continue from here", actions.proceed));
        this.buttons.lastChild.classList.add("last-only");
      }
      this.show(true);
    }
  }

  get isAnswer() {
    return this.turn.role === "assistant" || this.turn.role === "completion";
  }

  // Shows the turn as it is now; `whole` once nothing more will come.
  show(whole) {
    const { turn } = this;
    if (this.#markdown) this.#markdown.update(turn.content, whole);
    else this.#plain.textContent = turn.content;
    this.figures.textContent = figuresText(turn);
    this.error.textContent = turn.error ?? "";
    this.error.hidden = !turn.error;
    this.node.classList.toggle("growing", !whole);
  }
}
