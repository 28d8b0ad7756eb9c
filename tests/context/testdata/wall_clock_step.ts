// Sets the wall clock by so many ms, and prints which waits end early or late. Needs
// wall_clock.c preloaded; see wall_clock_test.ts.

import {
  background,
  every,
  remaining,
  sleep,
  withTimeout,
} from "@curfew/context";

const step = Number(Deno.args[0]);
const ms = 400;
/** Time in ms that may pass before a step is noticed. */
const tolerance = 100;

function setWallClock(ms: number): void {
  using file = Deno.openSync(Deno.env.get("WALL_OFFSET")!, { write: true });
  file.writeSync(new Uint8Array(BigInt64Array.of(BigInt(ms)).buffer));
}

const wrong: string[] = [];

/**
 * Starts waits of each kind, and one of the platform that no step can affect and
 * that ends after them, however slow the machine is.
 */
async function check(when: string): Promise<void> {
  const from = performance.now();
  let isLate = false;
  const end = (name: string) => () => {
    if (isLate) wrong.push(`${name} ${when} is late`);
    const early = ms - (performance.now() - from);
    if (early > tolerance) wrong.push(`${name} ${when} is ${early} ms early`);
  };
  const ctx = withTimeout(background(), ms);
  const { promise, resolve } = Promise.withResolvers<void>();
  ctx.signal.addEventListener("abort", () => resolve());
  const waits = [
    promise.then(end("deadline")),
    sleep(background(), ms).then(end("sleep")),
    every(background(), ms).next().then(end("every")),
  ];
  setTimeout(() => isLate = true, ms + 1.5 * tolerance);
  await Promise.all(waits);
}

const from = performance.now();
const wall = Date.now();
const far = withTimeout(background(), 60 * ms);
far.signal.addEventListener("abort", () => wrong.push("the far one has ended"));
const before = check("before");
setWallClock(step);
const shift = Date.now() - wall - step;
if (shift < 0 || shift > performance.now() - from + 1) {
  throw new Error("the wall clock was not set");
}
const left = remaining(far);
const elapsed = performance.now() - from;
if (left > 60 * ms || left < 60 * ms - elapsed - tolerance) {
  wrong.push(`${left} ms left after ${elapsed}`);
}
await Promise.all([before, check("after")]);
console.log(wrong.length === 0 ? "nothing early or late" : wrong.join("\n"));
far.cancel();
