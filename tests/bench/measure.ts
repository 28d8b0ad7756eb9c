/** Times two ways of doing the same thing. */

/** One way of doing something. */
export interface Work {
  /** Called before every sample, outside the measured time. */
  prepare?: () => void;
  /**
   * Does it `n` times, in a loop of its own so that the engine can optimize it.
   * The result is kept, and awaited if it is a promise.
   */
  run: (n: number) => unknown;
  /** Operations in one run, if the caller cannot choose them. */
  fixed?: number;
}

/** Times of one operation, in ns. */
export interface Times {
  ours: number;
  platform: number | undefined;
  /** The median of the ratios of the rounds. */
  ratio: number | undefined;
}

const rounds = 5;
const samplesPerRound = 6;
/** Duration of a sample in ms: long for the clock, short for a busy neighbor. */
const sampleTime = 2;
/** Duration of a warm-up in ms: after the last gain in speed, and in all. */
const settleTime = 80;
const longestWarmUp = 600;
/** Number of warm-up runs of a work with a fixed size. */
const fixedWarmUps = 6;

/**
 * Returns the median of the rounds, each the best of a few samples. The two take
 * turns, so that a change of the machine's load affects both.
 */
export async function compare(ours: Work, platform?: Work): Promise<Times> {
  const works = platform === undefined ? [ours] : [ours, platform];
  const sizes: number[] = [];
  for (const work of works) sizes.push(await warmUp(work));

  const times: number[][] = works.map(() => []);
  for (let round = 0; round < rounds; round++) {
    const best = works.map(() => Infinity);
    // A work with a fixed size takes long: one sample has to do.
    const samples = ours.fixed === undefined ? samplesPerRound : 1;
    for (let sample = 0; sample < samples; sample++) {
      for (const [i, work] of works.entries()) {
        best[i] = Math.min(best[i]!, await time(work, sizes[i]!));
      }
    }
    best.forEach((ns, i) => times[i]!.push(ns));
  }

  const [ourTimes, platformTimes] = times;
  return {
    ours: median(ourTimes!),
    platform: platformTimes && median(platformTimes),
    ratio: platformTimes &&
      median(ourTimes!.map((ns, round) => ns / platformTimes[round]!)),
  };
}

/** Collects garbage if `--v8-flags=--expose-gc` is given. */
export function collectGarbage(): void {
  const { gc } = globalThis as { gc?: () => void };
  gc?.();
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? sorted[middle]!
    : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function geometricMean(values: number[]): number {
  const logs = values.reduce((sum, value) => sum + Math.log(value), 0);
  return Math.exp(logs / values.length);
}

let loops = 0;

/**
 * Returns a work that calls `once` repeatedly. The loop is compiled anew for each
 * work: in a shared loop all scenarios would use one call site, which the engine
 * would not inline. The result of each call is used, so that no call is dropped.
 */
export function repeat(once: (i: number) => unknown): Work {
  const loop = new Function(
    "once",
    `/* ${loops++}: one text would be one loop */ return (n) => {
      let found = 0;
      for (let i = 0; i < n; i++) if (once(i)) found++;
      return found;
    };`,
  );
  return { run: loop(once) };
}

/**
 * Runs until it gets no faster, which is when the engine has optimized it, and
 * returns the number of operations that make a sample.
 */
async function warmUp(work: Work): Promise<number> {
  if (work.fixed !== undefined) {
    for (let i = 0; i < fixedWarmUps; i++) {
      work.prepare?.();
      await time({ run: work.run }, work.fixed);
    }
    return work.fixed;
  }
  const start = performance.now();
  let n = 1;
  let best = Infinity;
  let bestAt = start;
  for (;;) {
    const ns = await time(work, n);
    const now = performance.now();
    if (ns < best * 0.95) {
      best = ns;
      bestAt = now;
    }
    if (ns * n >= sampleTime * 1e6 / 2) {
      if (now - bestAt > settleTime || now - start > longestWarmUp) return n;
    }
    const wanted = Math.ceil(sampleTime * 1e6 / best);
    n = Math.max(1, Math.min(wanted, n * 10));
  }
}

/** Keeps the results of the works, so that they are not optimized away. */
export const sink: { value: unknown } = { value: undefined };

/** Takes one sample: the time of one of `n` operations, in ns. */
async function time(work: Work, n: number): Promise<number> {
  if (work.prepare !== undefined) {
    work.prepare();
    collectGarbage();
  }
  const start = performance.now();
  const result = work.run(n);
  sink.value = result instanceof Promise ? await result : result;
  return (performance.now() - start) * 1e6 / n;
}
