// The live view of the batch: asks /slots while somebody looks.
import { getJson } from "./api.js";
import { byId, el, formatBytes, formatCount } from "./dom.js";
import { Roll, voiceOf } from "./roll.js";
import { Sparkline } from "./sparkline.js";

const POLL_MS = 350;
const POLL_SLOW_MS = 3000;
const MAX_QUEUE_MARKS = 32;

const STATES = { free: "free", prefill: "prefilling", decode: "decoding" };

// One slot's line; its elements stay, only their content changes.
class SlotRow {
  constructor(id) {
    this.tile = el("span.tile", { "aria-hidden": "true" });
    this.name = el("span.slot-name", {}, `${id}`);
    this.request = el("span.slot-request");
    this.state = el("span.slot-state");
    this.rate = el("span.slot-rate");
    this.bar = el(
      "span.bar",
      { "aria-hidden": "true" },
      el("span.bar-prompt"),
      el("span.bar-answer"),
    );
    this.position = el("span.slot-position");
    this.node = el(
      "li.slot",
      { id: `slot-${id}` },
      this.name,
      el("span.slot-line", {}, this.request, this.state, this.rate),
      el("span.slot-line", {}, this.bar, this.position),
      this.tile,
    );
  }

  show(slot, context, hasKv, recurrentBytes) {
    const free = slot.state === "free";
    this.node.className = `slot ${slot.state}`;
    this.node.dataset.voice = free ? "" : voiceOf(slot.request);
    this.request.textContent = free
      ? ""
      : `#${slot.request}${slot.choice ? `.${slot.choice}` : ""}`;
    this.state.textContent = STATES[slot.state] ?? slot.state;
    this.rate.textContent =
      free || !slot.tokens_per_second ? "" : `${slot.tokens_per_second.toFixed(1)} tok/s`;
    const share = (tokens) => `${context ? Math.min(100, (100 * tokens) / context) : 0}%`;
    const prompt = Math.min(slot.prompt_tokens ?? 0, slot.position ?? 0);
    this.bar.hidden = !hasKv;
    this.bar.style.setProperty("--prompt", share(free ? 0 : prompt));
    this.bar.style.setProperty("--position", share(free ? 0 : slot.position));
    this.position.textContent = free
      ? ""
      : `${formatCount(slot.position)} / ${formatCount(context)}`;
    this.tile.hidden = !recurrentBytes;
    this.tile.title = `Recurrent state: ${formatBytes(recurrentBytes)}, whatever the length`;
  }
}

export class BatchView {
  #rows = [];
  #timer = 0;
  #running = false;
  #roll = new Roll(byId("roll"));
  #spark = new Sparkline(byId("spark"));

  // onLost() hears that the server stopped answering.
  constructor(onLost) {
    this.onLost = onLost;
    document.addEventListener("visibilitychange", () => this.#schedule(0));
    document.addEventListener("themechange", () => this.#roll.draw());
    new ResizeObserver(() => this.#roll.draw()).observe(byId("roll"));
  }

  start() {
    this.#running = true;
    this.#schedule(0);
  }

  stop() {
    this.#running = false;
    clearTimeout(this.#timer);
  }

  #schedule(ms) {
    clearTimeout(this.#timer);
    if (this.#running && !document.hidden) this.#timer = setTimeout(() => this.#poll(), ms);
  }

  async #poll() {
    try {
      this.show(await getJson("slots"));
      byId("batch-error").hidden = true;
      this.#schedule(POLL_MS);
    } catch (error) {
      byId("batch-error").textContent = error.message;
      byId("batch-error").hidden = false;
      if (error.status === 0) this.onLost();
      this.#schedule(POLL_SLOW_MS);
    }
  }

  // state: the answer of /slots.
  show(state) {
    const { slots = [], context = 0, kv = {}, recurrent = {}, totals = {} } = state;
    const recurrentBytes = recurrent.bytes_per_slot ?? 0;
    byId("batch-body").hidden = false;
    const hasKv = (kv.bytes_per_token ?? 0) > 0;
    this.#fitRows(slots);
    slots.forEach((slot, at) => this.#rows[at].show(slot, context, hasKv, recurrentBytes));
    this.#roll.add(slots);
    this.#spark.add(state.tokens_per_second ?? 0);

    const rate = state.tokens_per_second ?? 0;
    byId("rate").textContent = rate < 100 ? rate.toFixed(1) : formatCount(Math.round(rate));
    byId("running").textContent = `${state.running ?? 0} of ${slots.length}`;
    this.#showQueue(state.waiting ?? 0);
    const busy = slots.filter((slot) => slot.state !== "free").length;
    this.#showMemory(
      "kv",
      hasKv,
      kv.positions / kv.capacity,
      `${formatCount(kv.positions)} of ${formatCount(kv.capacity)} positions, ` +
        formatBytes(kv.positions * kv.bytes_per_token),
    );
    this.#showMemory(
      "recurrent",
      recurrentBytes > 0,
      busy / slots.length,
      `${busy} \u00d7 ${formatBytes(recurrentBytes)}`,
    );
    for (const name of ["prompt_tokens", "generated_tokens", "steps", "failed_steps"]) {
      byId(`total-${name}`).textContent = formatCount(totals[name]);
    }
    byId("total-failed_steps").closest("div").hidden = !totals.failed_steps;
  }

  #fitRows(slots) {
    if (this.#rows.length === slots.length) return;
    this.#rows = slots.map((slot) => new SlotRow(slot.id));
    byId("slots").replaceChildren(...this.#rows.map((row) => row.node));
    byId("slots").classList.toggle("many", slots.length > 12);
  }

  #showQueue(waiting) {
    byId("waiting").textContent = formatCount(waiting);
    const marks = byId("queue-marks");
    const wanted = Math.min(waiting, MAX_QUEUE_MARKS);
    while (marks.children.length > wanted) marks.lastChild.remove();
    while (marks.children.length < wanted) marks.append(el("i"));
  }

  #showMemory(name, present, share, text) {
    byId(`${name}-memory`).hidden = !present;
    byId(`${name}-text`).textContent = text;
    byId(`${name}-bar`).style.setProperty("--position", `${100 * (share || 0)}%`);
  }
}
