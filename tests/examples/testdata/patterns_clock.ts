// Imported before a program: time stands still while the program has anything to do
// and jumps to the next timer when it has not. So its output, and the time of each
// line, do not depend on the machine. For programs that wait for timers only.
//
// At the end it prints on stderr at which ms each line was printed.

// First, because the package takes the clock that it is loaded with for the real one.
import "@curfew/context";
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
