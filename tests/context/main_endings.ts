/** Every way in which a program under `main` can end. */

import { ChildProcess } from "./child_process.ts";

/** A way of ending. */
export interface Ending {
  /** Short description for the docs. */
  readonly what: string;
  /** One of the programs in testdata/main_endings.ts. */
  readonly program: string;
  /** Signals to send after lines of the program's output, in this order. */
  readonly signals?: readonly (readonly [line: string, signal: Deno.Signal])[];
}

/** Result of measuring an {@linkcode Ending}. */
export interface Measured {
  code: number;
  signal: Deno.Signal | null;
  /** Lines on stderr without stack frames, with 8000 for each port. */
  stderr: string[];
}

export const endings: readonly Ending[] = [
  { what: "`f` returns and nothing is left", program: "returns" },
  { what: "`f` returns 3", program: "returns a number" },
  { what: "`f` sets `Deno.exitCode = 3`", program: "sets Deno.exitCode" },
  {
    what: "`f` sets `Deno.exitCode = 3` and returns 2",
    program: "sets Deno.exitCode and returns a number",
  },
  { what: "`f` returns 256", program: "returns no exit code" },
  { what: "`f` throws", program: "throws" },
  {
    what: "`f` sets `Deno.exitCode = 3` and throws",
    program: "throws and sets Deno.exitCode",
  },
  {
    what: "`f` throws an error with a cause",
    program: "throws an error with a cause",
  },
  { what: "`f` throws an AggregateError", program: "throws several errors" },
  {
    what: "a rejection goes unhandled",
    program: "leaves a rejection unhandled",
  },
  {
    what: "a rejection goes unhandled and `f` returns at once",
    program: "leaves a rejection unhandled and returns",
  },
  { what: "an error goes uncaught", program: "leaves an error uncaught" },
  { what: "the listener of a server fails", program: "loses a listener" },
  {
    what: "a task fails in a group that nobody waits for",
    program: "has a group that fails",
  },
  {
    what: "SIGTERM, `f` finishes",
    program: "finishes",
    signals: [["ready", "SIGTERM"]],
  },
  {
    what: "SIGINT, `f` finishes",
    program: "finishes",
    signals: [["ready", "SIGINT"]],
  },
  {
    what: "SIGTERM, a server drains that `f` did not await",
    program: "drains a server",
    signals: [["ready", "SIGTERM"]],
  },
  {
    what: "SIGINT, a server drains that `f` did not await",
    program: "drains a server",
    signals: [["ready", "SIGINT"]],
  },
  {
    what: "SIGTERM, `f` is cut short",
    program: "is cut short",
    signals: [["ready", "SIGTERM"]],
  },
  {
    what: "SIGINT, `f` is cut short",
    program: "is cut short",
    signals: [["ready", "SIGINT"]],
  },
  {
    what: "SIGTERM, `f` is cut short with an AbortError of `node:events`",
    program: "is cut short by an AbortError",
    signals: [["ready", "SIGTERM"]],
  },
  {
    what: "SIGTERM, `f` has set `Deno.exitCode = 3` and is cut short",
    program: "is cut short, and has set Deno.exitCode",
    signals: [["ready", "SIGTERM"]],
  },
  {
    what: "SIGINT, `f` has set `Deno.exitCode = 3` and is cut short",
    program: "is cut short, and has set Deno.exitCode",
    signals: [["ready", "SIGINT"]],
  },
  {
    what: "SIGINT, `f` has set `Deno.exitCode = 3` and finishes",
    program: "finishes, and has set Deno.exitCode",
    signals: [["ready", "SIGINT"]],
  },
  {
    what: "SIGINT, `f` returns 3",
    program: "finishes with a number",
    signals: [["ready", "SIGINT"]],
  },
  {
    what: "SIGTERM, `f` throws while it drains",
    program: "fails while it drains",
    signals: [["ready", "SIGTERM"]],
  },
  {
    what: "SIGTERM, `f` passes on another cancellation",
    program: "passes on another cancellation",
    signals: [["ready", "SIGTERM"]],
  },
  {
    what: "SIGINT, `f` has thrown and `await using` adds its cancellation",
    program: "fails and is canceled",
    signals: [["ready", "SIGINT"]],
  },
  {
    what: "SIGTERM, an abort listener throws",
    program: "has a listener that throws",
    signals: [["ready", "SIGTERM"]],
  },
  {
    what: "SIGTERM twice within 100 ms",
    program: "drains until SIGTERM comes again",
    signals: [["ready", "SIGTERM"], ["stopping", "SIGTERM"]],
  },
  {
    what: "SIGTERM, and later SIGTERM again",
    program: "is stuck",
    signals: [["ready", "SIGTERM"], ["later", "SIGTERM"]],
  },
  {
    what: "SIGINT, and later SIGINT again",
    program: "is stuck",
    signals: [["ready", "SIGINT"], ["later", "SIGINT"]],
  },
  {
    what: "SIGINT and at once SIGTERM",
    program: "is stuck",
    signals: [["ready", "SIGINT"], ["stopping", "SIGTERM"]],
  },
  {
    what: "SIGTERM, and the grace period passes",
    program: "is stuck in a handler and in tasks",
    signals: [["ready", "SIGTERM"]],
  },
  {
    what: "an error goes uncaught, and the grace period passes",
    program: "fails and is stuck",
  },
  {
    what: "an error goes uncaught, and SIGTERM comes while the rest drains",
    program: "fails, and drains when SIGTERM comes",
    signals: [["ready", "SIGTERM"]],
  },
  {
    what: "an error goes uncaught, and SIGTERM comes twice",
    program: "fails, and is stuck when SIGTERM comes",
    signals: [["ready", "SIGTERM"], ["later", "SIGTERM"]],
  },
];

/** Runs the program of `ending`, and returns how it ended. */
export async function measure(ending: Ending): Promise<Measured> {
  const child = new ChildProcess("main_endings.ts", ending.program);
  for (const [line, signal] of ending.signals ?? []) {
    while (await child.line() !== line);
    child.kill(signal);
  }
  const { code, signal, stderr } = await child.end();
  const lines = stderr.replaceAll(/(127\.0\.0\.1:)\d+/g, "$18000").split("\n");
  const told = lines.filter((line) => !/^\s*(at .*)?$/.test(line));
  return { code, signal, stderr: told };
}
