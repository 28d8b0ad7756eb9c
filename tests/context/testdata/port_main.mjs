// Runs the cases of port_page.mjs in Deno or Node. The program has to end by itself.

import { cases } from "./port_page.mjs";

const url = new URL("./port_worker.mjs", import.meta.url);
if ("Deno" in globalThis) {
  const worker = new Worker(url, { type: "module" });
  const on = (f) => worker.onmessage = ({ data }) => f(data);
  console.log(JSON.stringify(await cases(worker, on)));
} else {
  const { Worker } = await import("node:worker_threads");
  const worker = new Worker(url);
  const on = (f) => worker.on("message", f);
  console.log(JSON.stringify(await cases(worker, on)));
}
