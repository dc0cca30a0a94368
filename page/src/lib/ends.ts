import { go } from "./route.svelte";
import type { Cell } from "./types";

/** The ends of a line between two codes, as they are picked on the map. */
const picked: { of: string; A: number[] | null; B: number[] | null } = { of: "", A: null, B: null };

export function written(code: number[]): string {
  return code.map((value) => +value.toFixed(3)).join(",");
}

/** Writes where a code of a level is decoded, with its conditions. */
export function queryOf(
  code: number[],
  level: number,
  given: Record<string, Cell> | null,
): Record<string, string> {
  const query: Record<string, string> = { z: written(code) };
  if (level) query.level = String(level);
  for (const [name, value] of Object.entries(given ?? {})) query[`given.${name}`] = String(value);
  return query;
}

/** Picks an end of a line; with both of them, goes to where the line is drawn.
 *
 * Returns what is still to be picked, or nothing. */
export function pick(
  run: string,
  level: number,
  end: "A" | "B",
  code: number[],
  given: Record<string, Cell> | null,
): "A" | "B" | null {
  const of = `${run}/${level}`;
  if (picked.of !== of) Object.assign(picked, { of, A: null, B: null });
  picked[end] = code;
  const { A, B } = picked;
  if (!A) return "A";
  if (!B) return "B";
  const query = queryOf(A, level, given);
  go(run, "decode", { ...query, a: written(A), b: written(B) });
  return null;
}
