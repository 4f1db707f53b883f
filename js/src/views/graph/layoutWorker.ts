import type { Client } from "../../protocol/client.ts";
import type { LayOut, PlacedGraph } from "../../state/graph/layout.ts";

type Graph = Parameters<LayOut>[0];
type Answer = { readonly id: number } & ({ readonly placed: PlacedGraph } | { readonly error: string });

let coming: Promise<LayOut> | null = null;

/** What lays graphs out, from the kernel once for each page: in a worker, or here where the host allows none. */
export function layOutInWorker(client: Client): Promise<LayOut> {
  coming ??= client.request("part", { name: "layout" }).then(({ body }) => start(body.code));
  coming.catch(() => {
    coming = null;
  });
  return coming;
}

const blobOf = (code: string): string => URL.createObjectURL(new Blob([code], { type: "text/javascript" }));

function start(code: string): LayOut {
  const part = blobOf(code);
  const waiting = new Map<
    number,
    { graph: Graph; resolve: (placed: PlacedGraph) => void; reject: (error: Error) => void }
  >();
  const here: LayOut = async (graph) => {
    const { default: make } = (await import(part)) as { default: (page: object) => (...args: unknown[]) => unknown };
    return make({})(graph, () => new Promise((resolve) => setTimeout(resolve))) as Promise<PlacedGraph>;
  };
  let worker: Worker | null = null;
  try {
    worker = new Worker(
      blobOf(`import make from ${JSON.stringify(part)};
const layOut = make({});
onmessage = ({ data: { id, graph } }) =>
  layOut(graph).then((placed) => postMessage({ id, placed }), (error) => postMessage({ id, error: String(error) }));`),
      { type: "module" },
    );
  } catch {
    return here;
  }
  worker.onmessage = ({ data }: MessageEvent<Answer>) => {
    const { resolve, reject } = waiting.get(data.id) ?? {};
    waiting.delete(data.id);
    if ("placed" in data) {
      resolve?.(data.placed);
    } else {
      reject?.(new Error(data.error));
    }
  };
  // A host may allow a worker and not what it imports.
  worker.onerror = () => {
    worker = null;
    for (const { graph, resolve, reject } of waiting.values()) {
      here(graph).then(resolve, reject);
    }
    waiting.clear();
  };
  let n = 0;
  return (graph) => {
    if (worker === null) {
      return here(graph);
    }
    const id = n++;
    worker.postMessage({ id, graph });
    return new Promise((resolve, reject) => waiting.set(id, { graph, resolve, reject }));
  };
}
