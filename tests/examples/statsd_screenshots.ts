/**
 * Takes the screenshots of the README of examples/statsd, in the sizes of a desktop
 * and of a phone, while the service has traffic for a minute.
 *
 *     deno run -A tests/examples/statsd_screenshots.ts [SECONDS]
 *
 * @module
 */

import { delay } from "@std/async";
import { Program } from "./program.ts";
import { Browser } from "./statsd_browser.ts";

/** Widths in pixels, with the file of each. */
const SIZES = [[1_280, "page.png"], [400, "page-narrow.png"]] as const;

const seconds = Number(Deno.args[0] ?? 65);
const demo = new Program([
  ...["run", "--unstable-no-legacy-abort", "-A"],
  ...["examples/statsd/demo.ts", String(seconds + 20)],
]);
try {
  const [, url] = await demo.prints(/Open (\S+) now/);
  for (const [width, file] of SIZES) {
    await using browser = await Browser.open(url!, { width, height: 800 });
    if (width === SIZES[0][0]) await delay(seconds * 1_000);
    await browser.until(
      `document.querySelectorAll("#busiest .bar").length > 1`,
    );
    const png = await browser.screenshot();
    const path = `../../examples/statsd/${file}`;
    await Deno.writeFile(new URL(path, import.meta.url), png);
  }
} finally {
  await demo[Symbol.asyncDispose]();
}
