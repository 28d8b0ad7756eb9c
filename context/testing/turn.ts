/** Turns of the real event loop, whatever test clock is installed later. */

const immediate = globalThis.setImmediate as
  | ((f: () => void) => unknown)
  | undefined;
const { setTimeout, clearTimeout } = globalThis;

/**
 * Resolves when the event loop has turned once: 1 to 2 us in Deno and Node.
 * Without `setImmediate`, as in a browser, it takes a real `setTimeout`.
 */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    if (immediate !== undefined) immediate(() => resolve());
    else setTimeout(resolve, 0);
  });
}

/** A wait in real time. */
export class RealWait implements Disposable {
  readonly over: Promise<void>;
  #end!: () => void;
  readonly #timer: ReturnType<typeof setTimeout>;

  /**
   * @param ms Duration in real milliseconds.
   * @param keepsAlive True to keep the process alive meanwhile.
   */
  constructor(ms: number, keepsAlive: boolean) {
    this.over = new Promise((resolve) => this.#end = resolve);
    this.#timer = setTimeout(this.#end, ms);
    if (!keepsAlive) unref(this.#timer);
  }

  /** Ends the wait now. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#end();
  }
}

function unref(timer: unknown): void {
  if (typeof timer === "object" && timer !== null && "unref" in timer) {
    (timer as { unref(): void }).unref();
  } else if (typeof timer === "number" && "Deno" in globalThis) {
    (globalThis as unknown as { Deno: { unrefTimer(id: number): void } })
      .Deno.unrefTimer(timer);
  }
}
