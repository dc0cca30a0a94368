/** What the server answers; numbers that are not finite come as null. */

export type Kind = "images" | "vectors" | "table" | "recommender";

export interface RunName {
  name: string;
  kind: Kind;
  title: string;
}

export interface Column {
  name: string;
  kind: string;
  levels: string[];
  low: number | null;
  high: number | null;
  decimals: number | null;
}

export interface Level {
  level: number;
  dimensions: number;
  ranks: number[];
  /** The quantiles of these ranks of each dimension. */
  quantiles: number[][];
}

export interface RunDetail extends RunName {
  source: string;
  model: string;
  recipe_text: string;
  facts: string[][];
  summary: Record<string, unknown>;
  shape: number[];
  columns: Column[];
  conditions: Column[];
  levels: Level[];
  has_data: boolean;
  has_likelihood: boolean;
  splits: Record<string, number>;
  caveats: string[];
  can: string[];
  items: number | null;
}

export type Cell = string | number | boolean | null;
export type Row = Record<string, Cell>;

/** An image as nested numbers, (channels, height, width), in [0, 1]. */
export type Numbers = number[][][];

export type Picture = Numbers | ImageBitmap;

export interface Values {
  images?: Numbers[] | null;
  rows?: Row[] | null;
}

export interface Scored {
  elbo: number | null;
  log_likelihood: number | null;
  adjusted?: number | null;
  percentile?: number | null;
  odd?: { column: string; value: Cell; below: number }[] | null;
}

/** One example and what the model makes of it: images as addresses of data, or rows. */
export interface Reconstructed {
  original: string | Row;
  mean: string | Row;
  residual: string | Row;
  codes: number[][];
  score: Scored | null;
}

/** An example of the run's own data. */
export interface OwnExample {
  id: number;
  title: string;
  values: Row;
  picture: Numbers | null;
  given: Row | null;
  codes: number[][];
}

export interface Item {
  item: string | number;
  title?: string | null;
  popularity?: number;
}

/** An item that speaks for a recommended one: the score is lower by `share` without it. */
export interface Reason extends Item {
  share: number;
}

export interface Recommended extends Item {
  score: number;
  because?: Reason[] | null;
}

export interface Colour {
  name: string;
  /** The words of the values 0, 1, ... of a colour that has levels. */
  levels: string[] | null;
  low: number;
  high: number;
}

export interface MapFacts {
  ready: boolean;
  done: number;
  count: number;
  of: number;
  axes: [string, string] | null;
  method: string;
  methods: string[];
  levels: number;
  colours: Colour[];
  note: string;
  sprites: { tile: number; wide: number; each: number } | null;
}

export interface MapRow {
  id: number;
  /** Its number in the data. */
  row: number;
  title: string;
  values: Row;
}

export interface OddCell {
  column: string;
  value: string | null;
  below: number;
}

export interface OddRow {
  id: number;
  percentile: number;
  log_likelihood: number;
  values: Row;
  odd: OddCell[];
}

export interface OddRows {
  ready: boolean;
  done: number;
  examples: number;
  split: string;
  reference: number;
  reference_split: string;
  score: string;
  caveat: string | null;
  rows: OddRow[];
}

export interface TableOfTexts {
  head: string[];
  rows: string[][];
  caption: string;
}

export interface Comparison {
  sizes: string;
  figures: TableOfTexts;
  models: TableOfTexts;
  settings: TableOfTexts;
  verdicts: string[];
  warnings: string[];
  samples: { name: string; pictures?: Numbers[]; rows?: Row[] }[];
}
