import { at, drawn, post } from "./api";
import type { Cell, Picture, Row, RunDetail, Values } from "./types";

/** An image of more numbers than these comes as a file, which is smaller. */
const MOST_NUMBERS = 4096;

/** What a code means: an image, or a row. */
export interface Shown {
  picture?: Picture;
  row?: Row;
}

/** Returns conditions to begin with: the first level of each, or its middle. */
export function givenAtFirst(run: RunDetail): Record<string, Cell> {
  const given: Record<string, Cell> = {};
  for (const column of run.conditions) {
    given[column.name] = column.levels?.length
      ? column.levels[0]
      : ((column.low ?? 0) + (column.high ?? 0)) / 2;
  }
  return given;
}

/** Reads the conditions of an address. */
export function readGiven(run: RunDetail, query: URLSearchParams): Record<string, Cell> {
  const given = givenAtFirst(run);
  for (const column of run.conditions) {
    const text = query.get(`given.${column.name}`);
    if (text === null) continue;
    if (!column.levels?.length) given[column.name] = Number(text);
    else if (column.levels.includes(text)) given[column.name] = text;
  }
  return given;
}

/** Decodes codes of one level, (n, d); the levels below are at their means. */
export async function decoded(
  run: RunDetail,
  level: number,
  z: number[][],
  given: Record<string, Cell>,
): Promise<Shown[]> {
  const body: Record<string, unknown> = { z, level };
  if (run.conditions.length) body.given = given;
  const numbers = run.shape.reduce((product, length) => product * length, 1);
  if (run.kind === "images" && z.length === 1 && numbers > MOST_NUMBERS)
    return [{ picture: await drawn(at(run.name, "decode"), body) }];
  return shownOf(await post<Values>(at(run.name, "decode"), body));
}

export function shownOf(values: Values): Shown[] {
  if (values.images) return values.images.map((picture) => ({ picture }));
  return (values.rows ?? []).map((row) => ({ row }));
}
