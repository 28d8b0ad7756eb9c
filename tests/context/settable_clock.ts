/**
 * Real clocks that can be set. Import it before the package, which takes the clocks
 * that it finds first for the real ones.
 */

let wall = 0;
let steady = 0;
let { now } = Date;
let steadyNow = performance.now.bind(performance);
// Bound functions read as native ones, so this is no test clock.
Date.now = (() => now() + wall).bind(undefined);
performance.now = () => steadyNow() + steady;

/** Delays in ms of the alarms that were set. */
export const alarms: number[] = [];
const { timeout } = AbortSignal;
AbortSignal.timeout = (ms) => {
  alarms.push(ms);
  return timeout.call(AbortSignal, ms);
};

/** Stops both clocks: from here on they move only when they are set. */
export function standStill(): void {
  const [wallTime, steadyTime] = [now(), steadyNow()];
  now = () => wallTime;
  steadyNow = () => steadyTime;
}

/** Sets the wall clock; back by less than 0 ms. */
export function putOn(ms: number): void {
  wall += ms;
}

/** Lets time go by, in ms, on both the wall clock and the one that nobody sets. */
export function pass(ms: number): void {
  wall += ms;
  steady += ms;
}
