/**
 * Real clocks that can be set. To be imported before the package is, which takes
 * what it sees first for the real ones.
 */

let wall = 0;
let steady = 0;
const { now } = Date;
const steadyNow = performance.now.bind(performance);
Date.now = () => now() + wall;
performance.now = () => steadyNow() + steady;

/** What alarms were set, in ms from then. */
export const alarms: number[] = [];
const { timeout } = AbortSignal;
AbortSignal.timeout = (ms) => {
  alarms.push(ms);
  return timeout.call(AbortSignal, ms);
};

/** Sets the wall clock; back by less than 0 ms. */
export function putOn(ms: number): void {
  wall += ms;
}

/** Lets time go by, in ms, on both the wall clock and the one that nobody sets. */
export function pass(ms: number): void {
  wall += ms;
  steady += ms;
}
