/** Where the page is: `#/run/view?key=value`. Each state of a view has an address that can be
 * shared. */

export interface Place {
  run: string;
  view: string;
  query: URLSearchParams;
}

function read(): Place {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const [run, view] = path.split("/").map(decodeURIComponent);
  return { run: run ?? "", view: view ?? "", query: new URLSearchParams(query ?? "") };
}

/** The present place, and how often a reader has gone to one: each time the view begins anew. */
export const route = $state<{ place: Place; visits: number }>({ place: read(), visits: 0 });

addEventListener("hashchange", () => {
  route.place = read();
  route.visits++;
});

export function address(run: string, view: string, query: Record<string, string> = {}): string {
  const text = new URLSearchParams(query).toString();
  const path = `#/${encodeURIComponent(run)}/${view}`;
  return text ? `${path}?${text}` : path;
}

export function go(run: string, view: string, query: Record<string, string> = {}): void {
  location.hash = address(run, view, query);
}

/** Writes the state of a view into the address, without a new entry in the history. */
export function remember(run: string, view: string, query: Record<string, string>): void {
  history.replaceState(null, "", address(run, view, query));
}
