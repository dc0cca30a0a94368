import type { Picture } from "./types";

/** Draws an image of numbers in [0, 1], one pixel each. */
export function paint(canvas: HTMLCanvasElement, picture: Picture): void {
  const channels = picture.length;
  const height = picture[0].length;
  const width = picture[0][0].length;
  canvas.width = width;
  canvas.height = height;
  const paper = canvas.getContext("2d");
  if (!paper) return;
  const pixels = paper.createImageData(width, height);
  let at = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let part = 0; part < 3; part++) {
        pixels.data[at++] = Math.round(255 * picture[channels === 3 ? part : 0][y][x]);
      }
      pixels.data[at++] = 255;
    }
  }
  paper.putImageData(pixels, 0, 0);
}
