/** Numbers for people. */
export function plain(value: number | null | undefined, digits = 2): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return value.toLocaleString("en", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

export function count(value: number): string {
  return value.toLocaleString("en");
}

/** Writes a cell of a table as its source would, numbers with six digits. */
export function cell(value: unknown): string {
  if (value === null || value === undefined || value === "") return "–";
  if (typeof value === "number" && !Number.isInteger(value)) return String(+value.toPrecision(6));
  return String(value);
}

export function between(a: number[], b: number[], share: number): number[] {
  return a.map((value, i) => value + share * (b[i] - value));
}
