// The side panel with its two tabs; on a phone it covers the page.
import { byId } from "./dom.js";

const TABS = ["batch", "settings"];
const NARROW = matchMedia("(max-width: 60rem)");

export class Panel {
  #open = null; // the tab shown, or null
  #opener = null;

  // onChange(tab or null) hears what is shown.
  constructor(onChange) {
    this.onChange = onChange;
    this.node = byId("panel");
    for (const tab of TABS) {
      byId(`open-${tab}`).addEventListener("click", (event) => {
        this.#opener = event.currentTarget;
        this.show(this.#open === tab ? null : tab);
      });
      byId(`tab-${tab}`).addEventListener("click", () => this.show(tab));
    }
    byId("tabs").addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      const next = TABS.find((tab) => tab !== this.#open);
      this.show(next);
      byId(`tab-${next}`).focus();
    });
    byId("close-panel").addEventListener("click", () => this.#close());
    this.node.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#close();
    });
    NARROW.addEventListener("change", () => this.#cover());
  }

  get wide() {
    return !NARROW.matches;
  }

  show(tab) {
    const opened = tab && !this.#open;
    this.#open = tab;
    this.node.hidden = !tab;
    for (const name of TABS) {
      const chosen = name === tab;
      byId(`open-${name}`).setAttribute("aria-expanded", String(chosen));
      byId(`tab-${name}`).setAttribute("aria-selected", String(chosen));
      byId(`tab-${name}`).tabIndex = chosen ? 0 : -1;
      byId(name).hidden = !chosen;
    }
    this.#cover();
    if (opened && !this.wide) byId("close-panel").focus();
    this.onChange(tab);
  }

  // What a covering panel hides cannot be reached with the keyboard either.
  #cover() {
    const covering = Boolean(this.#open) && !this.wide;
    byId("main").inert = covering;
    byId("top").inert = covering;
  }

  #close() {
    this.show(null);
    this.#opener?.focus();
  }
}
