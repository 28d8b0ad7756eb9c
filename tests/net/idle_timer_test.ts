import { putOn } from "../context/settable_clock.ts";
import { IdleTimer } from "../../net/idle_timer.ts";

Deno.test("an idle timer does not wait for the old time when the clock is put back", async () => {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const guard = setTimeout(reject, 60_000, new Error("it waits still"));
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
