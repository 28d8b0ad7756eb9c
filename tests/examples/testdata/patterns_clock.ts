// Imported before a program: time stands still while it has anything to do, and
// jumps to the next timer when it has not. So what is printed, and when, does not
// depend on the machine. For programs that wait for timers only.
//
// At the end it says on stderr at which ms each line was printed.

import { FakeTime } from "@std/testing/time";

const time = new FakeTime();
const lines: number[] = [];

const { log } = console;
console.log = (...data: unknown[]) => {
  lines.push(Date.now() - time.start);
  log(...data);
};
addEventListener("unload", () => console.error(lines.join(" ")));

async function run(): Promise<never> {
  for (;;) await time.nextAsync();
}
run();
