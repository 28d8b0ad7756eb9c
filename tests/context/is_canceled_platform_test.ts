// What platform APIs reject with when ctx.signal is aborted. Some drop the reason.

import { assert, assertEquals } from "@std/assert";
import {
  background,
  isCanceled,
  withCancel,
  withoutCancel,
} from "@curfew/context";
import { EventEmitter, on, once } from "node:events";
import { readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setInterval, setTimeout } from "node:timers/promises";

const never = () => new ReadableStream();

const calls: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
  "fetch()": (signal) => fetch("http://127.0.0.1:1/", { signal }),
  "Deno.readTextFile()": (signal) =>
    Deno.readTextFile(new URL(import.meta.url), { signal }),
  "pipeTo()": (signal) => never().pipeTo(new WritableStream(), { signal }),
  "throwIfAborted()": (signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => {
        try {
          signal.throwIfAborted();
        } catch (error) {
          reject(error);
        }
      });
    }),
  "a signal of AbortSignal.any()": (signal) =>
    fetch("http://127.0.0.1:1/", {
      signal: AbortSignal.any([signal, new AbortController().signal]),
    }),
  "events.once()": (signal) => once(new EventEmitter(), "event", { signal }),
  "events.on()": async (signal) => {
    for await (const _ of on(new EventEmitter(), "event", { signal }));
  },
  "setTimeout() of node:timers/promises": (signal) =>
    setTimeout(1_000_000, undefined, { signal }),
  "setInterval() of node:timers/promises": async (signal) => {
    for await (const _ of setInterval(1_000_000, undefined, { signal }));
  },
  "pipeline() of node:stream/promises": (signal) =>
    pipeline(new Readable({ read() {} }), async (source) => {
      for await (const _ of source);
    }, { signal }),
  "readFile() of node:fs/promises": (signal) =>
    readFile(new URL(import.meta.url), { signal }),
};

for (const [name, call] of Object.entries(calls)) {
  Deno.test(`isCanceled() takes what ${name} rejects with when ctx is canceled`, async () => {
    using ctx = withCancel(background());
    const called = call(ctx.signal).then(
      () => assert(false, "it does not reject"),
      (error) => error,
    );
    ctx.cancel(new Error("why"));
    const error = await called;
    using other = withCancel(withoutCancel(ctx));
    assertEquals([isCanceled(ctx, error), isCanceled(other, error)], [
      true,
      false,
    ]);
  });
}
