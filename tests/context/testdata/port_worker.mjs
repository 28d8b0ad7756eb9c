// The worker of port_page.mjs, in Deno, Node and a browser.

import {
  background,
  cause,
  contextPort,
  createKey,
  withCancel,
  withPort,
} from "@curfew/context/context";

const userKey = createKey("user");

/** One job for each message; each answers with a list of strings. */
const jobs = {
  /** Never lets the event loop turn: no message can arrive. */
  async busy(port, answer) {
    const ctx = withPort(background(), port);
    await ctx.ready;
    while (ctx.err === undefined);
    answer([ctx.err.name, cause(ctx)]);
  },

  async canceled(port, answer) {
    const ctx = withPort(background(), port, { values: [userKey] });
    await ctx.ready;
    answer(["ready", ctx.value(userKey)]);
    await ctx.done;
    answer([ctx.err.name, String(cause(ctx))]);
  },

  /** The other way: the page follows a context of the worker. */
  back(_port, answer) {
    const ctx = withCancel(background());
    const port = contextPort(ctx);
    answer(port, [port]);
    ctx.cancel("the worker gave up");
  },

  async done(port, answer) {
    const ctx = withPort(background(), port);
    await ctx.ready;
    ctx.cancel();
    answer(["canceled"]);
  },

  /** The context stays open: the worker has to end all the same. */
  async left(port, answer) {
    const ctx = withPort(background(), port);
    await ctx.ready;
    answer(["left"]);
    stop();
  },
};

let stop;
if ("WorkerGlobalScope" in globalThis) {
  stop = () => globalThis.close();
  onmessage = ({ data }) => jobs[data.job](data.port, postMessage);
} else {
  import("node:worker_threads").then(({ parentPort }) => {
    stop = () => parentPort.unref();
    const answer = (data, transfer) => parentPort.postMessage(data, transfer);
    parentPort.on("message", ({ job, port }) => jobs[job](port, answer));
  });
}
