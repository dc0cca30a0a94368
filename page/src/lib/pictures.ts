import type { Picture } from "./types";

/** Draws an image, one pixel of the canvas for each of its own. */
export function paint(canvas: HTMLCanvasElement, picture: Picture): void {
  if (picture instanceof ImageBitmap) {
    canvas.width = picture.width;
    canvas.height = picture.height;
    canvas.getContext("2d")?.drawImage(picture, 0, 0);
    return;
  }
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
