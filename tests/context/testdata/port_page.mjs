// Contexts across the ports of a worker, in Deno, Node and a browser. The cases are
// the same everywhere, and so is what they return.

import {
  background,
  cause,
  contextPort,
  createKey,
  snapshot,
  withCancel,
  withPort,
  withTimeout,
  withValue,
} from "@curfew/context/context";

const userKey = createKey("user");

/** A worker whose answers can be awaited one by one. */
class Answers {
  #worker;
  #waiting = [];
  #arrived = [];

  /** `on(listener)` adds a listener for what the worker sends. */
  constructor(worker, on) {
    this.#worker = worker;
    on((data) => {
      const resolve = this.#waiting.shift();
      if (resolve === undefined) this.#arrived.push(data);
      else resolve(data);
    });
  }

  start(job, port) {
    this.#worker.postMessage({ job, port }, port === undefined ? [] : [port]);
  }

  next() {
    if (this.#arrived.length > 0) return Promise.resolve(this.#arrived.shift());
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/** Runs all cases and returns what they saw. */
export async function cases(worker, on) {
  const answers = new Answers(worker, on);
  const seen = {};

  const short = withTimeout(background(), 200, { cause: "slow job" });
  answers.start("busy", contextPort(short));
  seen.busy = await answers.next();

  const ctx = withCancel(withValue(background(), userKey, "ada"));
  answers.start("canceled", contextPort(ctx, { values: [userKey] }));
  seen.ready = await answers.next();
  ctx.cancel(new RangeError("the user pressed stop"));
  seen.canceled = await answers.next();

  answers.start("back");
  const follower = withPort(background(), await answers.next());
  const timer = setInterval(() => {}, 1_000);
  await follower.done;
  seen.back = [follower.err.name, cause(follower)];

  const open = withCancel(background());
  answers.start("done", contextPort(open));
  seen.done = await answers.next();
  while (snapshot(open).afterFuncs > 0) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  clearInterval(timer);

  // Neither this context nor its deadline ends before the program.
  const hour = withTimeout(background(), 3_600_000);
  answers.start("left", contextPort(hour));
  seen.left = await answers.next();
  return seen;
}
