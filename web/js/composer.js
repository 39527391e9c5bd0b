// The box one writes in, with its send and stop button.
import { byId, formatCount, icon } from "./dom.js";

export class Composer {
  #ready = false;
  #running = false;

  // send(text) returns whether it was taken; stop() ends the answer that streams.
  constructor({ send, stop }) {
    this.form = byId("composer");
    this.box = byId("message");
    this.button = byId("send");
    this.problem = byId("composer-problem");
    const submit = () => {
      if (this.#running) stop();
      else if (this.#ready && this.box.value.trim() && send(this.box.value)) this.fill("");
    };
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      submit();
    });
    this.box.addEventListener("keydown", (event) => {
      // While an input method composes, Enter chooses a word.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (!this.#running) submit();
    });
    this.box.addEventListener("input", () => {
      this.complain("");
      this.#update();
    });
    this.#update();
  }

  focus() {
    this.box.focus();
  }

  fill(text) {
    this.box.value = text;
    this.complain("");
    this.#update();
    this.focus();
  }

  complain(text) {
    this.problem.textContent = text;
    this.problem.hidden = !text;
    this.box.setAttribute("aria-invalid", String(Boolean(text)));
  }

  setReady(ready) {
    this.#ready = ready;
    this.#update();
  }

  setRunning(running) {
    this.#running = running;
    const label = running ? "Stop" : "Send";
    this.button.title = label;
    this.button.setAttribute("aria-label", label);
    this.button.classList.toggle("stop", running);
    this.button.replaceChildren(icon(running ? "stop" : "send"));
    this.#update();
  }

  fit(model, mode) {
    const words = !model.text
      ? "Token ids, such as 1, 2, 3"
      : mode === "chat"
        ? "Ask something"
        : "Text to continue";
    this.box.placeholder = words;
    byId("message-label").textContent = words;
    this.box.inputMode = model.text ? "text" : "numeric";
  }

  // How much of the context the last answer left used.
  showUsage(figures, context) {
    const used = figures?.prompt_tokens ? figures.prompt_tokens + figures.tokens : 0;
    byId("usage").textContent =
      used && context ? `${formatCount(used)} of ${formatCount(context)} positions` : "";
  }

  #update() {
    this.button.disabled = !this.#running && (!this.#ready || !this.box.value.trim());
    // The box grows with its text; CSS sets the limit.
    this.box.style.height = "auto";
    this.box.style.height = `${this.box.scrollHeight + 2}px`;
  }
}
