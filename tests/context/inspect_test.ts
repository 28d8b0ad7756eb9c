// What console.log shows of an err.

import { Canceled, type ContextError, DeadlineExceeded } from "@curfew/context";
import { assertEquals, assertMatch } from "@std/assert";

const kinds: [name: string, make: (cause?: unknown) => ContextError][] = [
  ["AbortError: context canceled", (cause) => new Canceled(cause)],
  [
    "TimeoutError: context deadline exceeded",
    (cause) => new DeadlineExceeded(cause),
  ],
];
for (const [text, make] of kinds) {
  Deno.test(`console.log() of ${text} shows its cause`, () => {
    const shown = Deno.inspect(make(new Error("out of paper")));
    assertMatch(shown, new RegExp(`^${text}`));
    assertMatch(shown, /\nCaused by: Error: out of paper\n/);
  });

  Deno.test(`console.log() of ${text} without a cause speaks of none`, () => {
    const shown = Deno.inspect(make());
    assertMatch(shown, new RegExp(`^${text}`));
    assertEquals(shown.includes("Caused by"), false);
  });
}
