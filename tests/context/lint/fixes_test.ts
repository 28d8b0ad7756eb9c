// The fixes do what they say: each program misbehaves before and not after.

import { assertEquals } from "@std/assert";
import {
  background,
  type Context,
  snapshot,
  withCancel,
} from "../../../mod.ts";
import { applyFixes, lint } from "./rule_table.ts";

const root = new URL("../../../mod.ts", import.meta.url).href;

type Run = (ctx: Context) => unknown;

/** Imports a program that uses the package by its name. */
async function load(code: string): Promise<Run> {
  const path = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    const text = code.replace('"@curfew/context"', JSON.stringify(root));
    await Deno.writeTextFile(path, text);
    return (await import(new URL(`file://${path}`).href)).run;
  } finally {
    await Deno.remove(path);
  }
}

/** Runs `f` with `run` of the program as it is, and with that of the fixed one. */
async function beforeAndAfter<T>(
  rule: string,
  code: string,
  f: (run: Run, ctx: Context) => T | Promise<T>,
): Promise<T[]> {
  const found = lint(code, rule);
  assertEquals(found.map(({ id }) => id), [`curfew/${rule}`]);
  const results: T[] = [];
  for (const text of [code, applyFixes(code, found)]) {
    using ctx = withCancel(background());
    results.push(await f(await load(text), ctx));
  }
  return results;
}

Deno.test("the fix of lost-cancel takes the context off its parent", async () => {
  const left = await beforeAndAfter(
    "lost-cancel",
    `
    import { type Context, sleep, withTimeout } from "@curfew/context";
    export async function run(ctx: Context): Promise<void> {
      const step = withTimeout(ctx, 60_000);
      await sleep(step, 0);
    }`,
    async (run, ctx) => {
      await run(ctx);
      return snapshot(ctx).children.length;
    },
  );
  assertEquals(left, [1, 0]);
});

Deno.test("the fix of lost-cancel lets work that is returned finish", async () => {
  const results = await beforeAndAfter(
    "lost-cancel",
    `
    import { type Context, sleep, withTimeout } from "@curfew/context";
    async function work(ctx: Context): Promise<string> {
      await sleep(ctx, 0);
      return "finished";
    }
    export async function run(ctx: Context): Promise<string> {
      const step = withTimeout(ctx, 60_000);
      return work(step);
    }`,
    async (run, ctx) => [await run(ctx), snapshot(ctx).children.length],
  );
  assertEquals(results, [["finished", 1], ["finished", 0]]);
});

Deno.test("the fix of await-before-dispose lets the work finish", async () => {
  const results = await beforeAndAfter(
    "await-before-dispose",
    `
    import { type Context, sleep, withCancel } from "@curfew/context";
    export async function run(ctx: Context): Promise<void> {
      using step = withCancel(ctx);
      return sleep(step, 0);
    }`,
    async (run, ctx) => {
      const [{ status }] = await Promise.allSettled([run(ctx)]);
      return status;
    },
  );
  assertEquals(results, ["rejected", "fulfilled"]);
});

Deno.test("the fix of spread-context gives the signal", async () => {
  const signals = await beforeAndAfter(
    "spread-context",
    `
    import type { Context } from "@curfew/context";
    export function run(ctx: Context): RequestInit {
      return { ...ctx, method: "POST" };
    }`,
    (run, ctx) => {
      const { signal } = run(ctx) as RequestInit;
      return signal === ctx.signal;
    },
  );
  assertEquals(signals, [false, true]);
});

Deno.test("the fix of floating-group waits until the tasks have finished", async () => {
  const finished = await beforeAndAfter(
    "floating-group",
    `
    import { type Context, group, sleep } from "@curfew/context";
    export async function run(ctx: Context): Promise<string[]> {
      const finished: string[] = [];
      const tasks = group(ctx);
      for (const name of ["ada", "grace"]) {
        tasks.go(async (ctx) => {
          await sleep(ctx, 0);
          finished.push(name);
        });
      }
      return Array.from(finished);
    }`,
    async (run, ctx) => {
      const names = await run(ctx);
      return { names, groups: snapshot(ctx).children.length };
    },
  );
  assertEquals(finished, [
    { names: [], groups: 1 },
    { names: ["ada", "grace"], groups: 0 },
  ]);
});

Deno.test("the fix of parent-context ends the work with the function's context", async () => {
  const ended = await beforeAndAfter(
    "parent-context",
    `
    import { background, type Context, withCancel } from "@curfew/context";
    export function run(ctx: Context): boolean {
      using step = withCancel(background());
      return step.err !== undefined;
    }`,
    (run, ctx) => {
      using canceled = withCancel(ctx);
      canceled.cancel();
      return run(canceled);
    },
  );
  assertEquals(ended, [false, true]);
});
