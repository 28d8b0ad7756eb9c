// The contexts that servers create for themselves, as an observer such as the
// inspector sees them.

import { background, type Context } from "@curfew/context";
import { assert, assertEquals } from "@std/assert";
import {
  observeTree,
  type Purpose,
  type TreeObserver,
} from "../../context/tree_observer.ts";
import { IdleTimer } from "../../net/idle_timer.ts";
import { ServerLifetime } from "../../net/server_lifetime.ts";

/** Records the descriptions of contexts. */
class Recorder implements TreeObserver {
  readonly lines: string[] = [];
  readonly contexts: Context[] = [];

  created(): void {}

  ended(): void {}

  described(ctx: Context, purpose: Purpose, describe: () => string): void {
    this.contexts.push(ctx);
    this.lines.push(`${purpose}: ${describe()}`);
  }
}

Deno.test("a server describes its three contexts, its lame duck and its grace period, and ends them all", async () => {
  const recorder = new Recorder();
  using _observing = observeTree(recorder);
  const addr = { transport: "tcp", hostname: "::1", port: 80 } as const;
  const lifetime = new ServerLifetime<Deno.NetAddr, void>(
    "serveTest",
    background(),
    addr,
    { lameDuck: 1, grace: 1_000 },
    () => {},
  );
  lifetime.start({
    drain: () => Promise.resolve(),
    cut() {},
    report() {},
    inFlight: () => undefined,
  });
  await lifetime.shutdown();
  assert(recorder.contexts.every((ctx) => ctx.err !== undefined));
  assertEquals(recorder.lines, [
    "server: serveTest [::1]:80",
    "server: serveTest [::1]:80",
    "server: serveTest [::1]:80",
    "timer: lame duck",
    "timer: grace period",
  ]);
});

Deno.test("an idle timer describes its alarm, and ends it when it is stopped", () => {
  const recorder = new Recorder();
  using _observing = observeTree(recorder);
  const timer = new IdleTimer(1_000, () => {});
  assertEquals(recorder.lines, ["timer: idle timeout"]);
  const [alarm] = recorder.contexts;
  assertEquals(alarm!.err, undefined);
  timer.stop();
  assert(alarm!.err !== undefined);
});
