// The page, in a browser where there is one.

import { assert, assertEquals } from "@std/assert";
import { MAX_VIEWERS } from "../../examples/statsd/page.ts";
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
    assertEquals(busiest.slice(0, 2), ["busy", "counter"]);
    for (const text of NASTY) {
      const escaped = text.replaceAll('"', '\\"');
      assert(busiest.includes(`a{text="${escaped}"}`), text);
    }
    assertEquals(
      await browser.evaluate(`document.querySelectorAll("td *").length`),
      // The names and the bars, and the addresses of the two sockets.
      2 * busiest.length / 4 + 2,
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
    // It looks for another service, which there is not.
    assertEquals(
      browser.complaints.filter((text) => !text.includes("ERR_CONNECTION")),
      [],
    );
  },
});

const PHASE = `document.getElementById("phase").textContent`;

Deno.test({
  name: "the page comes back when the service is started anew",
  ignore: chromium === undefined,
  async fn() {
    let port: number;
    await using browser = await (async () => {
      await using service = await StatsdService.start();
      const browser = await Browser.open(`${service.http}/`);
      await browser.until(SERVING);
      service.kill("SIGTERM");
      await browser.until(`${PHASE} === "gone"`);
      port = service.httpPort;
      await service.stopped();
      return browser;
    })();
    await using _next = await StatsdService.start("--http", `${port!}`);
    await browser.until(SERVING);
  },
});

Deno.test({
  name: "a page too many says so, and goes on when another is closed",
  ignore: chromium === undefined,
  async fn() {
    await using service = await StatsdService.start();
    const pages: Response[] = [];
    for (let i = 0; i < MAX_VIEWERS; i++) {
      pages.push(await fetch(`${service.http}/events`));
    }
    await using browser = await Browser.open(`${service.http}/`);
    await browser.until(`${PHASE} === "no room"`);
    for (const { body } of pages) await body?.cancel();
    await browser.until(SERVING);
  },
});

Deno.test({
  name:
    "a name leaves the others in sight, whatever is in it, on a small screen too",
  ignore: chromium === undefined,
  async fn() {
    await using service = await StatsdService.start("--tcp", "0");
    await using browser = await Browser.open(`${service.http}/`, {
      ...{ width: 360, height: 800 },
    });
    await browser.until(SERVING);
    const long = "n".repeat(1_000);
    await send(service, `${long}:1|g|#k:${long}`, "a:1|g|#k:\u202eabc\u0007");
    await browser.until(`${cells("busiest")}.length === 8`);
    const names = await browser.evaluate(cells("busiest")) as string[];
    assert(names.includes('a{k="\\\\u{202e}abc\\\\u{7}"}'), names.join());
    assertEquals(
      await browser.evaluate(
        `[...document.querySelectorAll("#busiest .name")]` +
          `.map(({ title }) => title.length).sort((a, b) => b - a)[0]`,
      ),
      2_000 + '{k=""}'.length,
    );
    const lines =
      `Math.max(...[...document.querySelectorAll("#busiest .name")]` +
      `.map(({ clientHeight }) => clientHeight)) / ` +
      `Math.min(...[...document.querySelectorAll("#sockets .name")]` +
      `.map(({ clientHeight }) => clientHeight))`;
    assert(await browser.evaluate(lines) as number < 3.1);
    // The one thing that is scrolled is the table of the sockets, in its card.
    const hidden = (element: string) =>
      `${element}.scrollWidth - ${element}.clientWidth`;
    const card = (table: string) =>
      `document.getElementById("${table}").closest("section")`;
    for (const element of ["document.documentElement", card("busiest")]) {
      assertEquals(await browser.evaluate(hidden(element)), 0, element);
    }
    assert(await browser.evaluate(hidden(card("sockets"))) as number > 0);
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
