// Programs that show what the garbage collector takes and leaves. They need the
// V8 flag --expose-gc.

import {
  afterFunc,
  background,
  cause,
  type Context,
  withCancel,
  withSignal,
} from "@curfew/context";

const { gc } = globalThis as unknown as { gc(): void };

/** Collects all garbage. */
async function collect(): Promise<void> {
  for (let i = 0; i < 5; i++) {
    // A WeakRef that was read keeps its target until the event loop turns.
    await new Promise((resolve) => setTimeout(resolve));
    gc();
  }
}

/** Calls `f`, whose variables nothing holds when it has returned. */
function within<T>(f: () => T): T {
  return f();
}

const programs: Record<string, () => Promise<void>> = {
  async middle() {
    const root = withCancel(background());
    // deno-lint-ignore curfew/lost-cancel -- the garbage collector has it
    const child = within(() => withCancel(withCancel(withCancel(root))));
    await collect();
    root.cancel("root's cause");
    console.log(`${child.err?.name}: ${cause(child)}`);
  },

  async parent() {
    const child = withCancel(withCancel(withCancel(background())));
    await collect();
    console.log(child.err === undefined ? "open" : "done");
  },

  async listener() {
    const root = withCancel(background());
    withCancel(withCancel(root)).signal
      .addEventListener("abort", () => console.log("told"));
    await collect();
    root.cancel();
  },

  async child() {
    const parent = withCancel(background());
    const refs = Array.from({ length: 100 }, () => {
      using ctx = withCancel(parent);
      ctx.signal.addEventListener("abort", () => {});
      return new WeakRef<Context>(ctx);
    });
    await collect();
    // Not all: a register of the engine may still show the last one.
    const left = refs.filter((ref) => ref.deref() !== undefined).length;
    console.log("collected:", left <= 1);
    parent.cancel(); // which has to live until here
  },

  async siblings() {
    const parent = withCancel(background());
    const children = Array.from({ length: 100 }, () => withCancel(parent));
    for (const ctx of children) ctx.signal.addEventListener("abort", () => {});
    const [first] = children;
    const refs = children.map((ctx) => new WeakRef<Context>(ctx));
    children.length = 0;
    parent.cancel();
    await collect();
    const left = refs.filter((ref) => ref.deref() !== undefined).length;
    console.log("collected:", left <= 2);
    console.log(first!.err?.name); // which has to live until here
  },

  async "done of a foreign signal"() {
    const controller = new AbortController();
    const promise = withSignal(background(), controller.signal).done;
    await collect();
    promise.then(() => console.log("told"));
    controller.abort();
  },

  async "afterFunc on a foreign signal"() {
    const controller = new AbortController();
    afterFunc(
      withSignal(background(), controller.signal),
      () => console.log("told"),
    );
    await collect();
    controller.abort();
  },

  async "two foreign signals"() {
    const controller = new AbortController();
    const other = new AbortController();
    withSignal(background(), controller.signal, other.signal).signal
      .addEventListener("abort", () => console.log("told"));
    await collect();
    controller.abort();
  },
};

await programs[Deno.args[0]!]!();
