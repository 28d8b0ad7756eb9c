// Imported before a program: time stands still while it has anything to do, and
// jumps to the next timer when it has not. So what is printed, and in which order,
// does not depend on the machine. For programs that wait for timers only.

import { FakeTime } from "@std/testing/time";

const time = new FakeTime();

async function run(): Promise<never> {
  for (;;) await time.nextAsync();
}
run();
