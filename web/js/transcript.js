// The list of turns: follows the newest text unless the reader has scrolled away.
import { byId, el } from "./dom.js";
import { TurnView } from "./turn.js";

const NEAR_PX = 48;
const REDRAW_MS = 60;

export class Transcript {
  #views = [];
  #following = true;
  #timer = 0;

  constructor(actions) {
    this.actions = actions;
    this.scroller = byId("scroller");
    this.list = byId("transcript");
    this.latest = byId("to-latest");
    this.scroller.addEventListener(
      "scroll",
      () => {
        const { scrollHeight, scrollTop, clientHeight } = this.scroller;
        this.#following = scrollHeight - scrollTop - clientHeight < NEAR_PX;
        this.latest.hidden = this.#following;
      },
      { passive: true },
    );
    this.latest.addEventListener("click", () => this.toEnd());
    // The box below grows with what one writes.
    new ResizeObserver(() => this.#following && this.toEnd()).observe(this.scroller);
  }

  reset(turns) {
    this.#views = [];
    this.list.replaceChildren();
    for (const turn of turns) this.add(turn);
  }

  add(turn) {
    const view = new TurnView(
      turn,
      this.actions,
      turn.role === "completion" ? this.#takePrompt(turn) : "",
    );
    this.#views.push(view);
    this.list.append(view.node);
    this.toEnd();
    return view;
  }

  // A prompt and its completion are shown as one document.
  #takePrompt(turn) {
    const { last } = this;
    if (last?.turn.role !== "prompt") return "";
    last.node.hidden = true;
    return turn.ids ? `${last.turn.content.trim()}, ` : last.turn.content;
  }

  removeLast() {
    this.#views.pop()?.node.remove();
  }

  get last() {
    return this.#views.at(-1);
  }

  // The last turn has grown: redraws it soon, not for every token.
  grow() {
    this.list.setAttribute("aria-busy", "true");
    this.#timer ||= setTimeout(() => this.#draw(false), REDRAW_MS);
  }

  finish() {
    this.#draw(true);
    this.list.removeAttribute("aria-busy");
  }

  toEnd() {
    this.#following = true;
    this.latest.hidden = true;
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  #draw(whole) {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.last?.show(whole);
    if (this.#following) this.scroller.scrollTop = this.scroller.scrollHeight;
  }
}

// What an empty page says, with a few beginnings to choose from.
export function welcome(model, mode, use) {
  const beginnings = {
    chat: [
      "Why does the moon have phases?",
      "Write a haiku about patience.",
      "Show quicksort in Python.",
    ],
    completion: ["Once upon a time", "The three largest rivers of Africa are", "def fibonacci(n):"],
    ids: ["1, 2, 3"],
  }[model.text ? mode : "ids"];
  const list = el("ul.beginnings");
  for (const text of beginnings) {
    list.append(el("li", {}, el("button", { type: "button", onclick: () => use(text) }, text)));
  }
  return list;
}
