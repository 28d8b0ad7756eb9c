// The page, in a browser where there is one.

import { assert, assertEquals } from "@std/assert";
import { Browser, chromium } from "./statsd_browser.ts";
import { StatsdService } from "./statsd_service.ts";

/** What would be markup if it were taken for it; a label may hold any text. */
const NASTY = [
  `<img src=x onerror="document.title='owned'">`,
  `</td><script>document.title='owned'</script>`,
  `&lt;b&gt;`,
];

const SERVING = `document.getElementById("phase")?.textContent === "serving"`;

/** Keeps in `phases` what the page has said of the service, one after another. */
const FOLLOW = `
  const phase = document.getElementById("phase");
  globalThis.phases = ["serving"];
  new MutationObserver(() => {
    const { textContent } = phase;
    if (phases.at(-1) !== textContent) phases.push(textContent);
  }).observe(phase, { childList: true });
`;

async function send(service: StatsdService, ...lines: string[]): Promise<void> {
  const socket = Deno.listenDatagram({
    ...{ transport: "udp", hostname: "127.0.0.1", port: 0 },
  });
  for (const line of lines) {
    await socket.send(new TextEncoder().encode(line), service.udp);
  }
  socket.close();
}

/** The text of the cells of a table of the page. */
function cells(table: string): string {
  return `[...document.querySelectorAll("#${table} td")]` +
    `.map((cell) => cell.textContent)`;
}

Deno.test({
  name: "the page shows what comes in, as text, and how the service ends",
  ignore: chromium === undefined,
  async fn() {
    await using service = await StatsdService.start(
      ...["--tcp", "0", "--lame-duck", "0.2"],
    );
    await using browser = await Browser.open(`${service.http}/`);
    await browser.until(SERVING);
    await browser.evaluate(FOLLOW);
    assertEquals(await browser.evaluate(cells("errors")), ["none"]);

    await send(
      service,
      ...Array<string>(5).fill("busy:1|c"),
      ...NASTY.map((text) => `a:1|g|#text:${text}`),
      ...["bad", "worse"],
    );
    await browser.until(`${cells("busiest")}.length > 4`);
    const busiest = await browser.evaluate(cells("busiest")) as string[];
    assertEquals(busiest.slice(0, 2), ["busy_total", "counter"]);
    for (const text of NASTY) {
      const escaped = text.replaceAll('"', '\\"');
      assert(busiest.includes(`a{text="${escaped}"}`), text);
    }
    assertEquals(
      await browser.evaluate(`document.querySelectorAll("td *").length`),
      // The bars.
      busiest.length / 4,
    );
    assertEquals(await browser.evaluate("document.title"), "statsd");
    assertEquals(await browser.evaluate(cells("errors")), [
      "malformed line",
      "2",
    ]);
    assertEquals(
      await browser.evaluate(`document.getElementById("lines").textContent`),
      "10",
    );
    const sockets = await browser.evaluate(cells("sockets")) as string[];
    const { hostname, port } = service.udp;
    assertEquals(sockets.slice(0, 4), [
      ...["udp", `${hostname}:${port}`, "serving", "10"],
    ]);

    service.kill("SIGTERM");
    await browser.until(`phases.includes("gone")`);
    assertEquals(await browser.evaluate("phases"), [
      ...["serving", "lame duck", "draining", "gone"],
    ]);
    const states = `[...document.querySelectorAll("#sockets tr")]` +
      `.map((row) => row.children[2].textContent)`;
    assertEquals(await browser.evaluate(states), ["closed", "closed"]);
    assertEquals((await service.stopped()).lines, 10);
    assertEquals(browser.complaints, []);
  },
});

Deno.test({
  name: "the page says so when the service has gone without a goodbye",
  ignore: chromium === undefined,
  async fn() {
    await using service = await StatsdService.start();
    await using browser = await Browser.open(`${service.http}/`);
    await browser.until(SERVING);
    service.kill("SIGKILL");
    await browser.until(`document.title === "statsd: no connection"`);
  },
});
