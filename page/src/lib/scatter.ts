/** Many points on a canvas, drawn pixel by pixel: no graphics card is needed, and no code that is made
 * while the page runs, which the content security policy forbids. A frame of 60,000 points takes some
 * milliseconds. */

/** The cells of the grid that finds the point under the pointer, along each side. */
const CELLS = 256;

export interface Window {
  x: number;
  y: number;
  /** Units of the data for each pixel of CSS. */
  step: number;
}

export class Scatter {
  private readonly canvas: HTMLCanvasElement;
  private readonly paper: CanvasRenderingContext2D;
  private xs: Float32Array = new Float32Array(0);
  private ys: Float32Array = new Float32Array(0);
  private shades: Uint8Array = new Uint8Array(0);
  private palette: Uint32Array = new Uint32Array(1);
  private order: Uint32Array | null = null;
  private chosen: Uint8Array | null = null;
  private starts = new Uint32Array(CELLS * CELLS + 1);
  private members = new Uint32Array(0);
  private box = { left: 0, bottom: 0, width: 1, height: 1 };
  private pixels: ImageData | null = null;
  private waits = false;
  marked: number[] = [];
  window: Window = { x: 0, y: 0, step: 1 };

  constructor(canvas: HTMLCanvasElement) {
    this.canvas = canvas;
    const paper = canvas.getContext("2d");
    if (!paper) throw new Error("this browser draws nothing on a canvas");
    this.paper = paper;
  }

  get count(): number {
    return this.xs.length;
  }

  setPoints(xs: Float32Array, ys: Float32Array): void {
    this.xs = xs;
    this.ys = ys;
    this.order = null;
    this.index();
    this.reset();
  }

  /** Colours the points: each has a shade, the place of its colour in the palette. */
  setColours(shades: Uint8Array, palette: Uint32Array): void {
    this.shades = shades;
    this.palette = palette;
    this.draw();
  }

  /** Draws these points above the others, which fade; null chooses none. */
  choose(ids: Iterable<number> | null): void {
    this.chosen = null;
    if (ids) {
      this.chosen = new Uint8Array(this.count);
      for (const id of ids) this.chosen[id] = 1;
    }
    this.draw();
  }

  mark(ids: number[]): void {
    this.marked = ids;
    this.draw();
  }

  /** Shows all points. */
  reset(): void {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const { left, bottom } = this.box;
    const step = Math.max(
      this.box.width / Math.max(width - 24, 1),
      this.box.height / Math.max(height - 24, 1),
    );
    this.window = {
      x: left + this.box.width / 2,
      y: bottom + this.box.height / 2,
      step: step || 1,
    };
    this.draw();
  }

  pan(right: number, down: number): void {
    this.window.x -= right * this.window.step;
    this.window.y += down * this.window.step;
    this.draw();
  }

  /** Zooms about a place of the canvas, in pixels of CSS. */
  zoom(factor: number, at: { x: number; y: number }): void {
    const before = this.toData(at.x, at.y);
    this.window.step /= factor;
    const after = this.toData(at.x, at.y);
    this.window.x += before.x - after.x;
    this.window.y += before.y - after.y;
    this.draw();
  }

  toData(x: number, y: number): { x: number; y: number } {
    const { step } = this.window;
    return {
      x: this.window.x + (x - this.canvas.clientWidth / 2) * step,
      y: this.window.y - (y - this.canvas.clientHeight / 2) * step,
    };
  }

  toCanvas(id: number): { x: number; y: number } {
    const { step } = this.window;
    return {
      x: (this.xs[id] - this.window.x) / step + this.canvas.clientWidth / 2,
      y: (this.window.y - this.ys[id]) / step + this.canvas.clientHeight / 2,
    };
  }

  /** Finds the point that is nearest to a place of the canvas, within so many pixels of CSS; -1
   * where there is none. */
  nearest(x: number, y: number, within = 12): number {
    if (!this.count) return -1;
    const place = this.toData(x, y);
    const reach = within * this.window.step;
    const [left, bottom] = this.cellOf(place.x - reach, place.y - reach);
    const [right, top] = this.cellOf(place.x + reach, place.y + reach);
    let best = -1;
    let least = reach * reach;
    for (let row = bottom; row <= top; row++) {
      const from = this.starts[row * CELLS + left];
      const to = this.starts[row * CELLS + right + 1];
      for (let k = from; k < to; k++) {
        const id = this.members[k];
        const distance = (this.xs[id] - place.x) ** 2 + (this.ys[id] - place.y) ** 2;
        if (distance < least) {
          least = distance;
          best = id;
        }
      }
    }
    return best;
  }

  /** Lists the points within a line that was drawn on the canvas, in pixels of CSS. */
  within(line: { x: number; y: number }[]): number[] {
    if (line.length < 3) return [];
    const corners = line.map(({ x, y }) => this.toData(x, y));
    const lefts = corners.map(({ x }) => x);
    const heights = corners.map(({ y }) => y);
    const [west, east] = [Math.min(...lefts), Math.max(...lefts)];
    const [south, north] = [Math.min(...heights), Math.max(...heights)];
    const found: number[] = [];
    for (let id = 0; id < this.count; id++) {
      const x = this.xs[id];
      const y = this.ys[id];
      if (x < west || x > east || y < south || y > north) continue;
      let inside = false;
      for (let i = 0, j = corners.length - 1; i < corners.length; j = i++) {
        const a = corners[i];
        const b = corners[j];
        if (a.y > y !== b.y > y && x < ((b.x - a.x) * (y - a.y)) / (b.y - a.y) + a.x)
          inside = !inside;
      }
      if (inside) found.push(id);
    }
    return found;
  }

  /** Draws the points in the next frame. */
  draw(): void {
    if (this.waits) return;
    this.waits = true;
    requestAnimationFrame(() => {
      this.waits = false;
      this.paint();
    });
  }

  private paint(): void {
    const scale = Math.min(devicePixelRatio || 1, 2);
    const width = Math.max(1, Math.round(this.canvas.clientWidth * scale));
    const height = Math.max(1, Math.round(this.canvas.clientHeight * scale));
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.pixels = null;
    }
    this.pixels ??= this.paper.createImageData(width, height);
    const target = new Uint32Array(this.pixels.data.buffer);
    target.fill(0);
    const size = this.dotSize(scale);
    const step = this.window.step / scale;
    const left = this.window.x - (width / 2) * step;
    const top = this.window.y + (height / 2) * step;
    this.order ??= shuffled(this.count);
    const { xs, ys, shades, palette, order, chosen } = this;
    const large = Math.max(size, Math.round(4 * scale));
    for (const isAbove of chosen ? [0, 1] : [1]) {
      const dot = chosen && isAbove ? large : size;
      const half = dot / 2;
      const veil = isAbove ? -1 : 0x28ffffff; // the alpha of those that fade
      for (let place = 0; place < order.length; place++) {
        const id = order[place];
        if (chosen && chosen[id] !== isAbove) continue;
        const x = Math.round((xs[id] - left) / step - half);
        const y = Math.round((top - ys[id]) / step - half);
        if (x < 0 || y < 0 || x + dot > width || y + dot > height) continue;
        const colour = palette[shades[id]] & veil;
        for (let row = 0; row < dot; row++) {
          const inset = dot > 2 && (row === 0 || row === dot - 1) ? 1 : 0;
          const from = (y + row) * width + x;
          for (let at = from + inset; at < from + dot - inset; at++) target[at] = colour;
        }
      }
    }
    this.paper.putImageData(this.pixels, 0, 0);
    this.ring(scale);
  }

  /** Draws a ring about each marked point. */
  private ring(scale: number): void {
    if (!this.marked.length) return;
    this.paper.strokeStyle = getComputedStyle(this.canvas).color;
    this.paper.lineWidth = 2 * scale;
    for (const id of this.marked) {
      const { x, y } = this.toCanvas(id);
      this.paper.beginPath();
      this.paper.arc(x * scale, y * scale, 7 * scale, 0, 2 * Math.PI);
      this.paper.stroke();
    }
  }

  /** Returns how large a point is in pixels of the canvas: larger where there are few, or where one
   * looks closely. */
  private dotSize(scale: number): number {
    const { clientWidth, clientHeight } = this.canvas;
    const shown = (clientWidth * this.window.step * clientHeight * this.window.step) /
      (this.box.width * this.box.height || 1);
    const space = (clientWidth * clientHeight) / Math.max(1, this.count * Math.min(shown, 1));
    return Math.round(Math.min(Math.max(Math.sqrt(space) / 3.5, 1.5), 7) * scale);
  }

  private index(): void {
    const count = this.count;
    let [left, right, bottom, top] = [Infinity, -Infinity, Infinity, -Infinity];
    for (let id = 0; id < count; id++) {
      left = Math.min(left, this.xs[id]);
      right = Math.max(right, this.xs[id]);
      bottom = Math.min(bottom, this.ys[id]);
      top = Math.max(top, this.ys[id]);
    }
    if (!count) [left, right, bottom, top] = [0, 1, 0, 1];
    this.box = { left, bottom, width: right - left || 1, height: top - bottom || 1 };
    const cells = new Uint32Array(count);
    this.starts = new Uint32Array(CELLS * CELLS + 1);
    for (let id = 0; id < count; id++) {
      const [column, row] = this.cellOf(this.xs[id], this.ys[id]);
      cells[id] = row * CELLS + column;
      this.starts[cells[id] + 1]++;
    }
    for (let cell = 0; cell < CELLS * CELLS; cell++) this.starts[cell + 1] += this.starts[cell];
    const next = this.starts.slice();
    this.members = new Uint32Array(count);
    for (let id = 0; id < count; id++) this.members[next[cells[id]]++] = id;
  }

  private cellOf(x: number, y: number): [number, number] {
    const column = Math.floor(((x - this.box.left) / this.box.width) * CELLS);
    const row = Math.floor(((y - this.box.bottom) / this.box.height) * CELLS);
    const bound = (cell: number) => Math.min(Math.max(cell, 0), CELLS - 1);
    return [bound(column), bound(row)];
  }
}

/** Returns the numbers below `count` in an order without meaning, the same each time: so that the
 * label whose examples come last in the data does not hide the others. */
function shuffled(count: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  let state = 12345;
  for (let i = count - 1; i > 0; i--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const j = state % (i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
