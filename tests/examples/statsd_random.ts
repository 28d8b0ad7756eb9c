/** Reproducible random choices for the tests of examples/statsd. */

/** Pseudorandom numbers. The seed is printed; `STATSD_SEED` in the environment sets
 * it. */
export class Random {
  #state: number;

  constructor(seed = seedOfEnvironment()) {
    console.log(`seed ${seed}`);
    this.#state = seed >>> 0;
  }

  /** Returns a number in [0, 1). */
  next(): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#state / 2 ** 32;
  }

  /** Returns a whole number from 0 to below `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** Returns one of `items`. */
  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  /** Returns `items` in a random order. */
  shuffled<T>(items: readonly T[]): T[] {
    const shuffled = [...items];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!];
    }
    return shuffled;
  }
}

function seedOfEnvironment(): number {
  const given = Deno.env.get("STATSD_SEED");
  return given === undefined
    ? crypto.getRandomValues(new Uint32Array(1))[0]!
    : Number(given);
}
