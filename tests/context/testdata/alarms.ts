// Prints the times, in ms, of the alarms that a program has had set for it. They
// are counted from before the module is there, which keeps the real clock.

const delays: number[] = [];
const { timeout } = AbortSignal;
AbortSignal.timeout = (ms) => {
  delays.push(ms);
  return timeout.call(AbortSignal, ms);
};
const { afterFunc, background, sleep, withTimeout } = await import(
  "@curfew/context"
);

const hour = 3_600_000;
const ctx = withTimeout(background(), hour);

const programs: { [name: string]: () => Promise<void> } = {
  "sleeps under a deadline that is listened to": async () => {
    afterFunc(ctx, () => {});
    for (let i = 0; i < 20; i++) await sleep(ctx, 1);
  },

  "sleeps under a deadline that nobody listens to": async () => {
    for (let i = 0; i < 20; i++) await sleep(background(), 1);
  },
};

await programs[Deno.args[0]!]!();
console.log(delays.filter((ms) => ms > hour / 2).length);
Deno.exit();
