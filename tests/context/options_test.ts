// The APIs that read the signal of a context which is given as their options, and
// those that copy their options and so lose it, as listed in
// docs/coming-from-abortcontroller.md.

import { assertEquals } from "@std/assert";
import { type ChildProcess, exec, execFile, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { readFile } from "node:fs/promises";
import http from "node:http";
import timers from "node:timers/promises";
// deno-lint-ignore no-import-prefix
import { Agent, request, setGlobalDispatcher } from "npm:undici@7.16.0";
import { background, withCancel } from "@curfew/context";
import { DocsTable } from "./docs_table.ts";
import { turn } from "./outcome.ts";

/** A context given as options, or `{ signal: ctx.signal }`, as any API takes them. */
// deno-lint-ignore no-explicit-any
type Options = any;

/** A call that is under way. */
interface Call {
  /** Rejects if the call hears that its signal is aborted. */
  readonly result: Promise<unknown>;
  /** Lets it end otherwise. */
  finish(): void | Promise<void>;
}

/**
 * Options like those of a context, whose signal is an accessor of the prototype,
 * with others beside it.
 */
class WithOthers {
  readonly #options: Options;

  constructor(options: Options, others: object) {
    this.#options = options;
    Object.assign(this, others);
  }

  get signal(): AbortSignal {
    return this.#options.signal;
  }
}

/** Calls a server that does not answer until the call has to finish. */
function overHttp(
  f: (url: string, options: Options) => Promise<unknown>,
): (options: Options) => Promise<Call> {
  return async (options) => {
    const asked = Promise.withResolvers<void>();
    const answered = Promise.withResolvers<void>();
    await using listener = new AsyncDisposableStack();
    const server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      async () => {
        asked.resolve();
        await answered.promise;
        return new Response("late", { headers: { connection: "close" } });
      },
    );
    listener.defer(() => server.shutdown());
    const result = f(`http://127.0.0.1:${server.addr.port}/`, options);
    await Promise.race([asked.promise, result]);
    const stack = listener.move();
    return {
      result,
      async finish() {
        answered.resolve();
        await result.catch(() => {});
        await stack.disposeAsync();
      },
    };
  };
}

/** Waits for a callback of Node. */
function settled(f: (done: (error: unknown) => void) => void): Promise<void> {
  return new Promise((resolve, reject) =>
    f((error) => error ? reject(error) : resolve())
  );
}

/**
 * Returns a function that ends the input of `child`, and waits until it has exited: a
 * call that its signal ends is over before that.
 */
function ending(child: ChildProcess): () => Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  child.on("exit", () => resolve());
  return () => {
    child.stdin!.end();
    return promise;
  };
}

/** Calls that wait for something else than their signal. */
const waiting: { [name: string]: (options: Options) => Call | Promise<Call> } =
  {
    "`fetch`": overHttp(async (url, options) => {
      const reply = await fetch(url, options);
      await reply.text();
    }),
    "`new Request`": overHttp(async (url, options) => {
      const reply = await fetch(new Request(url, options));
      await reply.text();
    }),
    "`addEventListener`"(options) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const target = new EventTarget();
      target.addEventListener("done", () => resolve(), options);
      return {
        result: promise,
        finish() {
          target.dispatchEvent(new Event("done"));
          // Has no effect if the listener was still there.
          reject(new Error("removed"));
        },
      };
    },
    "`ReadableStream.pipeTo`"(options) {
      const { readable, writable } = new TransformStream();
      const result = readable.pipeTo(new WritableStream(), options);
      return { result, finish: () => writable.close().catch(() => {}) };
    },
    "`once` of `node:events`"(options) {
      const emitter = new EventEmitter();
      const result = once(emitter, "done", options);
      return { result, finish: () => void emitter.emit("done") };
    },
    "`new Deno.Command`"(options) {
      const piped = { stdin: "piped", stdout: "piped" } as const;
      const child = new Deno.Command(
        "cat",
        "cancel" in options
          ? new WithOthers(options, piped)
          : { ...options, ...piped },
      ).spawn();
      const output = child.output();
      const result = output.then(({ signal }) => {
        if (signal !== null) throw new Error(signal);
      });
      return { result, finish: () => child.stdin.close().catch(() => {}) };
    },
    "`spawn` of `node:child_process`"(options) {
      const child = spawn("cat", [], options);
      const result = settled((done) =>
        child.on("error", done).on("close", () => done(undefined))
      );
      return { result, finish: ending(child) };
    },
    "`exec` of `node:child_process`"(options) {
      let child: ChildProcess;
      const result = settled((done) => child = exec("cat", options, done));
      return { result, finish: ending(child!) };
    },
    "`execFile` of `node:child_process`"(options) {
      let child: ChildProcess;
      const result = settled((done) =>
        child = execFile("cat", [], options, done)
      );
      return { result, finish: ending(child!) };
    },
    "`node:http`": overHttp((url, options) =>
      settled((done) =>
        http.get(url, options, (response) => {
          response.on("end", () => done(undefined));
          response.resume();
        }).on("error", done)
      )
    ),
    "`request` of undici": overHttp(async (url, options) => {
      // Without the timers that it would leave behind.
      const timeouts = { headersTimeout: 0, bodyTimeout: 0 };
      const agent = new Agent({ ...timeouts, connect: { timeout: 0 } });
      setGlobalDispatcher(agent);
      try {
        const { body } = await request(url, options);
        await body.text();
      } finally {
        await agent.destroy();
      }
    }),
  };

const here = new URL(import.meta.url);

/** Calls that are over too soon to be interrupted: their signal is aborted before. */
const quick: { [name: string]: (options: Options) => Promise<unknown> } = {
  "`Deno.readTextFile`": (options) => Deno.readTextFile(here, options),
  "`node:fs/promises`": (options) => readFile(here, options),
  "`node:timers/promises`": (options) => timers.setTimeout(1, "", options),
};

const calls = {
  ...waiting,
  ...Object.fromEntries(
    Object.entries(quick).map(([name, f]) => [
      name,
      (options: Options): Call => ({ result: f(options), finish() {} }),
    ]),
  ),
};

/** Returns whether a call with these options hears of the end of the context. */
async function isHeard(
  name: string,
  optionsOf: (ctx: { signal: AbortSignal }) => Options,
): Promise<boolean> {
  const ctx = withCancel(background());
  if (name in quick) ctx.cancel();
  const { result, finish } = await calls[name]!(optionsOf(ctx));
  const heard = result.then(() => false, () => true);
  await turn();
  ctx.cancel();
  await turn();
  await finish();
  return await heard;
}

const docs = new DocsTable("coming-from-abortcontroller.md", "Options");

for (const name of Object.keys(calls)) {
  // Windows has no cat.
  const ignore = Deno.build.os === "windows" &&
    /Command|child_process/.test(name);

  Deno.test({
    name: `{ signal: ctx.signal } ends a call: ${name}`,
    ignore,
    async fn() {
      const heard = await isHeard(name, ({ signal }) => ({ signal }));
      assertEquals(heard, true);
    },
  });

  Deno.test({
    name: `a context given as the options has the documented effect: ${name}`,
    ignore,
    async fn() {
      const heard = await isHeard(name, (ctx) => ctx);
      await docs.check(name, heard ? "reads it" : "**loses it**");
    },
  });
}

Deno.test("the documented table has no other calls", async () => {
  await docs.finish(Object.keys(calls));
});
