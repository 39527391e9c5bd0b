// The last minute or so of one number as a line.

const POINTS = 90;
const [WIDTH, HEIGHT] = [180, 36]; // the drawing's viewBox

export class Sparkline {
  #values = [];

  // svg: holds path.area and path.line.
  constructor(svg) {
    this.svg = svg;
  }

  add(value) {
    this.#values.push(value);
    if (this.#values.length > POINTS) this.#values.shift();
    const top = Math.max(1, ...this.#values);
    const step = WIDTH / (POINTS - 1);
    const left = WIDTH - step * (this.#values.length - 1);
    const points = this.#values.map(
      (v, at) =>
        `${(left + at * step).toFixed(1)},${(HEIGHT - 1 - (v / top) * (HEIGHT - 3)).toFixed(1)}`,
    );
    const line = `M${points.join("L")}`;
    this.svg.querySelector(".line").setAttribute("d", line);
    this.svg
      .querySelector(".area")
      .setAttribute("d", `${line}L${WIDTH},${HEIGHT}L${left.toFixed(1)},${HEIGHT}Z`);
  }
}
