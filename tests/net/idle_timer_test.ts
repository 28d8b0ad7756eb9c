import { putOn } from "../context/settable_clock.ts";
import { IdleTimer } from "../../net/idle_timer.ts";

Deno.test("an idle timer does not wait longer when the wall clock is set back", async () => {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const guard = setTimeout(reject, 60_000, new Error("it still waits"));
  const timer = new IdleTimer(5, resolve);
  timer.touch();
  putOn(-3_600_000);
  try {
    await promise;
  } finally {
    clearTimeout(guard);
    timer.stop();
  }
});
