import { at, bitmap } from "./api";

/** The pictures of many points as sheets of small tiles, each fetched when one of its tiles is first
 * shown. */
export class Sprites {
  private readonly run: string;
  private readonly wide: number;
  private readonly each: number;
  readonly tile: number;
  private readonly sheets = new Map<number, Promise<ImageBitmap>>();

  constructor(run: string, layout: { tile: number; wide: number; each: number }) {
    this.run = run;
    this.tile = layout.tile;
    this.wide = layout.wide;
    this.each = layout.each;
  }

  /** Draws the picture of a point on a canvas; nothing where another was asked for meanwhile. */
  async paint(canvas: HTMLCanvasElement, id: number): Promise<void> {
    canvas.dataset.id = String(id);
    delete canvas.dataset.drawn;
    canvas.width = this.tile; // which clears it: the picture of another point would be a wrong one
    canvas.height = this.tile;
    const number = Math.floor(id / this.each);
    let sheet = this.sheets.get(number);
    if (!sheet) {
      sheet = bitmap(at(this.run, `map/sprites/${number}`));
      this.sheets.set(number, sheet);
      sheet.catch(() => this.sheets.delete(number));
    }
    const drawn = await sheet;
    if (canvas.dataset.id !== String(id)) return;
    const place = id % this.each;
    const left = (place % this.wide) * this.tile;
    const top = Math.floor(place / this.wide) * this.tile;
    const paper = canvas.getContext("2d");
    paper?.drawImage(drawn, left, top, this.tile, this.tile, 0, 0, this.tile, this.tile);
    canvas.dataset.drawn = String(id);
  }
}
