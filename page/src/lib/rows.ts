import type { Cell, Column, Row } from "./types";

/** Splits a line of CSV into its cells; quotes may hold commas, and two of them are one. */
function splitLine(line: string, separator: string): string[] {
  const cells: string[] = [];
  let cell = "";
  let isQuoted = false;
  for (let i = 0; i < line.length; i++) {
    const letter = line[i];
    if (isQuoted && letter === '"' && line[i + 1] === '"') {
      cell += '"';
      i++;
    } else if (letter === '"') isQuoted = !isQuoted;
    else if (letter === separator && !isQuoted) {
      cells.push(cell);
      cell = "";
    } else cell += letter;
  }
  cells.push(cell);
  return cells.map((text) => text.trim());
}

function quoted(text: string): string {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const NUMBERS = ["real", "positive", "count"];

/** Reads a cell as its column has it: numbers as numbers, all else as texts; an empty one is a gap. */
export function parseCell(text: string, column: Column): Cell {
  if (text === "" || text === "?") return null;
  if (!NUMBERS.includes(column.kind)) return text;
  const number = Number(text);
  if (!Number.isFinite(number)) throw new Error(`${column.name}: a number is needed, got ${text}`);
  return number;
}

/** Reads a row of two lines, the names and the values, by the columns that the run knows. */
export function parseRow(text: string, columns: Column[]): Row {
  const lines = text.split(/\r?\n/).filter((line) => line.trim());
  if (lines.length < 2) throw new Error("two lines are needed: the names, and the values");
  const separator = lines[0].includes("\t") ? "\t" : ",";
  const names = splitLine(lines[0], separator);
  const cells = splitLine(lines[1], separator);
  const row: Row = {};
  for (const column of columns) {
    const place = names.indexOf(column.name);
    row[column.name] = place < 0 ? null : parseCell(cells[place] ?? "", column);
  }
  if (columns.length && Object.values(row).every((value) => value === null))
    throw new Error(`none of the columns is there: ${columns.map(({ name }) => name).join(", ")}`);
  return row;
}

/** Reads the numbers of a vector: the last line that is not empty. */
export function parseNumbers(text: string): number[] {
  const lines = text.split(/\r?\n/).filter((line) => line.trim());
  const cells = splitLine(lines.at(-1) ?? "", ",");
  return cells.map((cell) => {
    const number = Number(cell);
    if (cell === "" || !Number.isFinite(number)) throw new Error(`a number is needed, got “${cell}”`);
    return number;
  });
}

export function writeRow(row: Row): string {
  const names = Object.keys(row).map(quoted).join(",");
  const cells = Object.values(row).map((value) => quoted(value === null ? "" : String(value)));
  return `${names}\n${cells.join(",")}`;
}
