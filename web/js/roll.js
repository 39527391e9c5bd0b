// The batch over the last half minute as a piano roll: a lane a slot, a stroke a request, pale
// while its prompt is read and full while it answers. The list below says the same in words.

const SECONDS = 30;
const VOICES = 8; // colours, --voice-0 and on
const MIN_RULED_PX = 8;

export const voiceOf = (request) => String(request % VOICES);

export class Roll {
  #samples = []; // { time, slots: [{ request, choice, prefill } | null] }, oldest first

  constructor(canvas) {
    this.canvas = canvas;
  }

  add(slots) {
    const time = performance.now() / 1000;
    this.#samples.push({
      time,
      slots: slots.map((slot) =>
        slot.state === "free"
          ? null
          : { request: slot.request, choice: slot.choice, prefill: slot.state === "prefill" },
      ),
    });
    while (this.#samples.length > 2 && this.#samples[1].time < time - SECONDS)
      this.#samples.shift();
    this.draw();
  }

  draw() {
    const { canvas } = this;
    const scale = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width) return;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const lanes = this.#samples.at(-1)?.slots.length ?? 0;
    if (!lanes) return;
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(name);
    const lane = height / lanes;

    pen.fillStyle = colour("--line");
    for (let at = 0; at < lanes && lane >= MIN_RULED_PX; at += 1)
      pen.fillRect(0, Math.round((at + 0.5) * lane), width, 1);
    const voices = Array.from({ length: VOICES }, (_, at) => colour(`--voice-${at}`));
    const now = this.#samples.at(-1).time;
    const x = (time) => width - ((now - time) / SECONDS) * width;
    const thick = Math.max(2, Math.min(10, lane * 0.62));
    for (let slot = 0; slot < lanes; slot += 1) {
      for (const { from, to, held } of this.#strokes(slot)) {
        pen.fillStyle = voices[held.request % VOICES];
        pen.globalAlpha = held.prefill ? 0.35 : 1;
        const left = Math.max(0, x(from));
        const y = (slot + 0.5) * lane - thick / 2 + 0.5;
        pen.beginPath();
        pen.roundRect(left, y, Math.max(2, x(to) - left - 1), thick, Math.min(2, thick / 2));
        pen.fill();
      }
    }
    pen.globalAlpha = 1;
  }

  // What a slot held, neighbouring samples of the same kind joined: [{ from, to, held }].
  #strokes(slot) {
    const strokes = [];
    for (let at = 1; at < this.#samples.length; at += 1) {
      const held = this.#samples[at].slots[slot];
      if (!held) continue;
      const last = strokes.at(-1);
      const [from, to] = [this.#samples[at - 1].time, this.#samples[at].time];
      const same =
        last?.to === from &&
        last.held.request === held.request &&
        last.held.choice === held.choice &&
        last.held.prefill === held.prefill;
      if (same) last.to = to;
      else strokes.push({ from, to, held });
    }
    return strokes;
  }
}
