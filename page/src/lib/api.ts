import type { Comparison, MapFacts, MapRow, OddRows, RunDetail, RunName } from "./types";

/** What the server refused, in its own words. */
export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, detail: string) {
    super(detail);
    this.status = status;
  }
}

async function refusal(response: Response): Promise<Refusal> {
  let detail = `${response.status} ${response.statusText}`;
  try {
    const problem = await response.json();
    if (typeof problem.detail === "string") detail = problem.detail;
    else if (typeof problem.title === "string") detail = problem.title;
  } catch {
    // The body is no JSON: the status says it.
  }
  return new Refusal(response.status, detail);
}

async function asked(path: string, options: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refusal(0, "The server does not answer. Is it still running?");
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await asked(path, { signal });
  return response.json();
}

export async function post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const response = await asked(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  return response.json();
}

/** Asks for a picture by a body of JSON. */
export async function drawn(path: string, body: unknown): Promise<ImageBitmap> {
  const response = await asked(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "image/png" },
    body: JSON.stringify(body),
  });
  return createImageBitmap(await response.blob());
}

export async function bytes(path: string): Promise<ArrayBuffer> {
  return (await asked(path, {})).arrayBuffer();
}

export async function bitmap(path: string): Promise<ImageBitmap> {
  const response = await asked(path, {});
  return createImageBitmap(await response.blob());
}

/** Writes the path of one of a run's answers. */
export function at(run: string, path: string): string {
  return `runs/${encodeURIComponent(run)}/${path}`;
}

export const runs = () => get<RunName[]>("runs");

export const detail = (run: string) => get<RunDetail>(`runs/${encodeURIComponent(run)}`);

export const mapFacts = (run: string, query: string) =>
  get<MapFacts>(at(run, `map?${query}`));

export const mapRows = (run: string, ids: number[], signal?: AbortSignal) =>
  get<{ rows: MapRow[] }>(at(run, `map/rows?ids=${ids.join(",")}`), signal);

export const mapSearch = (run: string, q: string, signal?: AbortSignal) =>
  get<{ ids: number[]; found: number }>(
    at(run, `map/search?q=${encodeURIComponent(q)}`),
    signal,
  );

export const oddRows = (run: string, limit: number) =>
  get<OddRows>(at(run, `rows?by=score&limit=${limit}`));

export const compare = (names: string[]) => post<Comparison>("compare", { runs: names });

/** Says what went wrong, for people; nothing for an answer that nobody waits for any more. */
export function wording(error: unknown): string {
  if (error instanceof DOMException && error.name === "AbortError") return "";
  if (error instanceof Error) return error.message;
  return String(error);
}

/** Sends the newest of many requests: while one is on its way the others wait, and of those that
 * wait only the last is sent. */
export class Newest<T> {
  private waiting: T | undefined;
  private busy = false;
  private readonly ask: (what: T) => Promise<void>;

  constructor(ask: (what: T) => Promise<void>) {
    this.ask = ask;
  }

  async send(what: T): Promise<void> {
    this.waiting = what;
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.waiting !== undefined) {
        const next = this.waiting;
        this.waiting = undefined;
        await this.ask(next);
      }
    } finally {
      this.busy = false;
    }
  }
}
