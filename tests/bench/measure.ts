/** How long two ways of doing one thing take, beside each other. */

/** One way of doing it. */
export interface Work {
  /** Made ready before every sample, outside the time that is taken. */
  prepare?: () => void;
  /**
   * Does it `n` times, in a loop of its own so that the engine can optimise it.
   * What it returns is kept, and waited for where it is a promise.
   */
  run: (n: number) => unknown;
  /** How often one run does it where that is not for the caller to say. */
  fixed?: number;
}

/** In ns for one time. */
export interface Times {
  ours: number;
  platform: number | undefined;
  /** The median of the ratios of the rounds. */
  ratio: number | undefined;
}

const rounds = 5;
const samplesPerRound = 6;
/** A sample is long against the clock and short against a busy neighbour, in ms. */
const sampleTime = 2;
/** How long, in ms, a warm-up goes on after it has got faster, and in all. */
const settleTime = 80;
const longestWarmUp = 600;
/** The same for a work that has a size of its own, in runs. */
const fixedWarmUps = 6;

/**
 * Takes the best of a few samples in each round, and the median of the rounds.
 * The two take turns, so that a change of the machine's mood meets both.
 */
export async function compare(ours: Work, platform?: Work): Promise<Times> {
  const works = platform === undefined ? [ours] : [ours, platform];
  const sizes: number[] = [];
  for (const work of works) sizes.push(await warmUp(work));

  const times: number[][] = works.map(() => []);
  for (let round = 0; round < rounds; round++) {
    const best = works.map(() => Infinity);
    // A work with a size of its own is a long one: one sample has to do.
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

/** Collects garbage where `--v8-flags=--expose-gc` allows it. */
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
 * A work that calls `once` over and over. The loop is compiled anew for each: in
 * a shared one the calls of all scenarios would meet at one line, where the
 * engine would inline none of them. It looks at what comes back, so that none
 * of it can be left out.
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
 * Runs until it gets no faster, which is when the engine has optimised it, and
 * says how often makes a sample.
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

/** What the works return goes here, lest it be optimised away. */
export const sink: { value: unknown } = { value: undefined };

/** One sample: ns for one of `n` times. */
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
