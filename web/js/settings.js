// What a person may set: the system prompt, the mode, how tokens are chosen. In localStorage.
import { el } from "./dom.js";

const KEY = "continuo.settings";

// An empty field is not sent: the server's default, or the model's own, applies.
const NUMBERS = [
  {
    name: "temperature",
    label: "Temperature",
    min: 0,
    max: 2,
    step: 0.05,
    hint: "0 always takes the likeliest token",
  },
  {
    name: "top_p",
    label: "Top p",
    min: 0,
    max: 1,
    step: 0.05,
    hint: "the likeliest tokens up to this probability",
  },
  { name: "top_k", label: "Top k", min: 0, step: 1, hint: "the k likeliest tokens" },
  {
    name: "min_p",
    label: "Min p",
    min: 0,
    max: 1,
    step: 0.01,
    hint: "at least this share of the likeliest",
  },
  {
    name: "repetition_penalty",
    label: "Repetition penalty",
    min: 0,
    step: 0.05,
    hint: "above 1 avoids what was said",
  },
  {
    name: "presence_penalty",
    label: "Presence penalty",
    min: -2,
    max: 2,
    step: 0.1,
    hint: "on tokens already in the answer",
  },
  {
    name: "frequency_penalty",
    label: "Frequency penalty",
    min: -2,
    max: 2,
    step: 0.1,
    hint: "grows with each use",
  },
  { name: "seed", label: "Seed", min: 0, step: 1, hint: "the same seed draws the same way" },
  { name: "max_tokens", label: "Max tokens", min: 1, step: 1, hint: "the longest answer" },
];

// One stop string a line; \n, \t and \\ stand for themselves.
export function parseStops(text) {
  const special = { n: "\n", t: "\t", "\\": "\\" };
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.replace(/\\([nt\\])/g, (_, c) => special[c]));
}

export class Settings {
  #values = {};
  #fields = new Map();

  // form: where the fields go. onMode() hears that the person switched chat and completion.
  constructor(form, onMode) {
    this.form = form;
    try {
      this.#values = JSON.parse(localStorage.getItem(KEY) ?? "{}") ?? {};
    } catch {
      this.#values = {};
    }
    this.onMode = onMode;
    this.#build();
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", (event) => {
      this.#values[event.target.name] = event.target.value;
      this.#save();
      if (event.target.name === "mode") this.onMode();
    });
  }

  get mode() {
    return this.#values.mode === "completion" ? "completion" : "chat";
  }

  get system() {
    return this.#values.system ?? "";
  }

  // The fields of a request's body.
  sampling() {
    const body = {};
    for (const { name } of NUMBERS) {
      const value = this.#values[name];
      if (value !== undefined && value !== "") body[name] = Number(value);
    }
    const stop = parseStops(this.#values.stop ?? "");
    if (stop.length) body.stop = stop;
    return body;
  }

  // Fits the form to the model: without a chat template there is no choice of mode.
  fit(model, mode) {
    this.#fields.get("mode").closest("fieldset").hidden = !model.chat;
    this.#fields.get("system").closest(".field").hidden = mode !== "chat";
    this.#fields.get("stop").closest(".field").hidden = model.text === false;
    for (const radio of this.form.querySelectorAll("input[name=mode]"))
      radio.checked = radio.value === mode;
  }

  #save() {
    try {
      localStorage.setItem(KEY, JSON.stringify(this.#values));
    } catch {
      // Forbidden or full: it holds until the page closes.
    }
  }

  #build() {
    const mode = el("fieldset.modes", {}, el("legend", {}, "Mode"));
    for (const [value, label] of [
      ["chat", "Chat"],
      ["completion", "Completion"],
    ]) {
      const radio = el("input", {
        type: "radio",
        name: "mode",
        value,
        checked: this.mode === value,
      });
      mode.append(el("label", {}, radio, el("span", {}, label)));
      this.#fields.set("mode", radio);
    }
    const grid = el("div.number-grid", {});
    for (const field of NUMBERS) grid.append(this.#number(field));
    const reset = el(
      "button.quiet",
      { type: "button", onclick: () => this.#reset() },
      "Back to the server\u2019s defaults",
    );
    this.form.append(
      mode,
      this.#area("system", "System prompt", "How the model should answer", 4),
      el("h3", {}, "Sampling"),
      el("p.hint", {}, "An empty field leaves the choice to the server."),
      grid,
      this.#area("stop", "Stop strings", "One a line; \\n for a new line", 2),
      reset,
    );
  }

  #number({ name, label, hint, ...limits }) {
    const input = el("input", {
      id: `set-${name}`,
      name,
      type: "number",
      inputmode: "decimal",
      placeholder: "default",
      title: hint,
      autocomplete: "off",
      value: this.#values[name] ?? "",
      ...limits,
    });
    this.#fields.set(name, input);
    return el("div.field", {}, el("label", { for: input.id, title: hint }, label), input);
  }

  #area(name, label, placeholder, rows) {
    const area = el("textarea", { id: `set-${name}`, name, rows, placeholder });
    area.value = this.#values[name] ?? "";
    this.#fields.set(name, area);
    return el("div.field", {}, el("label", { for: area.id }, label), area);
  }

  #reset() {
    for (const { name } of NUMBERS) {
      delete this.#values[name];
      this.#fields.get(name).value = "";
    }
    delete this.#values.stop;
    this.#fields.get("stop").value = "";
    this.#save();
  }
}
