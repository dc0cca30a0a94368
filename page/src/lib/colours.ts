/** Colours of points. Levels have the ten of Okabe and Ito, and Tableau, mixed so that each stands out
 * on a light and on a dark ground; numbers have a scale that is even to the eye (the middle of viridis,
 * whose ends would be lost on a dark or a light ground). */

const LEVELS = [
  "#3b82c4", "#e08214", "#2a9d6f", "#d1495b", "#8e6bbf",
  "#9a6a4f", "#d674b5", "#808890", "#a8a12c", "#22a6b8",
];

const SCALE = [
  [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121], [110, 206, 88],
  [181, 222, 43],
];

const NONE = "#808890";

export function ofLevel(level: number): string {
  return LEVELS[level % LEVELS.length];
}

export function ofShare(share: number): string {
  if (!Number.isFinite(share)) return NONE;
  const place = Math.min(Math.max(share, 0), 1) * (SCALE.length - 1);
  const lower = Math.min(Math.floor(place), SCALE.length - 2);
  const rest = place - lower;
  const mixed = SCALE[lower].map((low, i) => Math.round(low + rest * (SCALE[lower + 1][i] - low)));
  return `#${mixed.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}

/** Packs a colour as a pixel of a canvas. */
export function packed(colour: string): number {
  const red = parseInt(colour.slice(1, 3), 16);
  const green = parseInt(colour.slice(3, 5), 16);
  const blue = parseInt(colour.slice(5, 7), 16);
  return (255 << 24) | (blue << 16) | (green << 8) | red;
}

/** The number of shades that values of a colour without levels have. */
export const SHADES = 64;

/** Returns the packed colours that a colour's points are drawn with. */
export function palette(levels: number | null): Uint32Array {
  if (levels !== null) {
    return Uint32Array.from({ length: Math.max(levels, 1) + 1 }, (_, i) =>
      packed(i < levels ? ofLevel(i) : NONE),
    );
  }
  return Uint32Array.from({ length: SHADES + 1 }, (_, i) =>
    packed(i < SHADES ? ofShare(i / (SHADES - 1)) : NONE),
  );
}
