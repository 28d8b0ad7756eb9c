// The page in Chromium, if it is installed.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { MAX_VIEWERS } from "../../examples/statsd/page.ts";
import { Browser, chromium } from "./statsd_browser.ts";
import { StatsdService } from "./statsd_service.ts";

/** Markup in labels, which may contain any text. */
const NASTY = [
  `<img src=x onerror="document.title='owned'">`,
  `</td><script>document.title='owned'</script>`,
  `&lt;b&gt;`,
];

const SERVING = `document.getElementById("phase")?.textContent === "serving"`;

/** Records the phases that the page shows in `phases`. */
const FOLLOW = `
  const phase = document.getElementById("phase");
  globalThis.phases = ["serving"];
  new MutationObserver(() => {
    const { textContent } = phase;
    if (phases.at(-1) !== textContent) phases.push(textContent);
  }).observe(phase, { childList: true });
`;

/** Sends lines in one datagram, which counts in one second. */
async function sendLines(
  service: StatsdService,
  ...lines: string[]
): Promise<void> {
  await send(service, lines.join("\n"));
}

/** Waits until the page measures the busiest series. */
async function measures(browser: Browser): Promise<void> {
  await browser.until(`${cells("busiest")}[0] === "nothing comes in"`);
}

/** Sends datagrams. */
async function send(
  service: StatsdService,
  ...datagrams: string[]
): Promise<void> {
  const socket = Deno.listenDatagram({
    ...{ transport: "udp", hostname: "127.0.0.1", port: 0 },
  });
  for (const datagram of datagrams) {
    await socket.send(new TextEncoder().encode(datagram), service.udp);
  }
  socket.close();
}

/** Returns an expression for the text of the cells of a table. */
function cells(table: string): string {
  return `[...document.querySelectorAll("#${table} td")]` +
    `.map((cell) => cell.textContent)`;
}

/** Returns an expression for the text of an element. */
function text(id: string): string {
  return `document.getElementById("${id}").textContent`;
}

Deno.test({
  name: "the page shows the traffic as text, and each phase of the end",
  ignore: chromium === undefined,
  async fn() {
    await using service = await StatsdService.start(
      ...["--tcp", "0", "--lame-duck", "0.2", "--max-series", "500"],
    );
    await using browser = await Browser.open(`${service.http}/`);
    await browser.until(SERVING);
    await browser.evaluate(FOLLOW);
    assertEquals(await browser.evaluate(cells("errors")), ["nothing"]);
    assertEquals(await browser.evaluate(cells("latest")), ["none"]);

    await measures(browser);
    await sendLines(
      service,
      ...Array<string>(5).fill("busy:1|c"),
      ...NASTY.map((text) => `a:1|g|#text:${text}`),
      ...["bad", "worse", "busy:1|g", "slow:1|ms|#novalue"],
      ...["_sc|db.ok|0", "_sc|db.ok|0", "_e{1,1}:a|b"],
    );
    await browser.until(`${cells("busiest")}.length > 4`);
    const busiest = await browser.evaluate(cells("busiest")) as string[];
    assertEquals(busiest.slice(0, 2), ["busy", "counter"]);
    assertEquals(busiest[busiest.indexOf("slow") + 1], "timing");
    for (const text of NASTY) {
      const escaped = text.replaceAll('"', '\\"');
      assert(busiest.includes(`a{text="${escaped}"}`), text);
    }
    const latest = await browser.evaluate(cells("latest")) as string[];
    const rows = Array.from({ length: latest.length / 5 }, (_, i) => {
      const [time, name, reason] = latest.slice(5 * i);
      assertMatch(time!, /^\d\d:\d\d:\d\d$/);
      return [name, reason];
    });
    assertEquals(rows, [
      ["slow", 'tag error: not KEY:VALUE: "novalue"'],
      ["busy", "kind conflict: busy is a counter"],
      ["worse", "malformed line"],
      ["bad", "malformed line"],
    ]);
    assertEquals(
      await browser.evaluate(`document.querySelectorAll("td *").length`),
      // Names and bars, addresses, and names and lines of refusals.
      2 * busiest.length / 4 + 2 + 2 * rows.length,
    );
    assertEquals(await browser.evaluate("document.title"), "statsd");
    assertEquals(await browser.evaluate(cells("errors")), [
      ...["malformed line", "2", "kind conflict", "1", "tag error", "1"],
      ...["event, skipped", "1", "service check, skipped", "2"],
    ]);
    assertEquals(await browser.evaluate(text("lines")), "15");
    assertEquals(await browser.evaluate(text("refused")), "4");
    assertEquals(await browser.evaluate(text("series")), "5");
    assertEquals(await browser.evaluate(text("limit")), "of 500");
    const sockets = await browser.evaluate(cells("sockets")) as string[];
    const { hostname, port } = service.udp;
    assertEquals(sockets.slice(0, 4), [
      ...["udp", `${hostname}:${port}`, "serving", "1"],
    ]);
    assertMatch(
      await browser.evaluate(text("kernel")) as string,
      /udp: unknown without --allow-all.* tcp: TCP resends/,
    );

    service.kill("SIGTERM");
    await browser.until(`phases.includes("gone")`);
    assertEquals(await browser.evaluate("phases"), [
      ...["serving", "lame duck", "draining", "gone"],
    ]);
    const states = `[...document.querySelectorAll("#sockets tr")]` +
      `.map((row) => row.children[2].textContent)`;
    assertEquals(await browser.evaluate(states), ["closed", "closed"]);
    assertEquals((await service.stopped()).lines, 15);
    // Afterwards it looks for another service, which does not exist.
    assertEquals(
      browser.complaints.filter((text) => !text.includes("ERR_CONNECTION")),
      [],
    );
  },
});

Deno.test({
  name: "the chart has a scale from 0 to a round number",
  ignore: chromium === undefined,
  async fn() {
    await using service = await StatsdService.start();
    await using browser = await Browser.open(`${service.http}/`);
    await browser.until(SERVING);
    const axis = `[...document.getElementById("axis").children]` +
      `.map((label) => label.textContent)`;
    assertEquals(await browser.evaluate(axis), ["2", "1", "0"]);
    await send(service, "a:1|c\n".repeat(4_321));
    await browser.until(`${axis}[0] === "6,000"`);
    assertEquals(await browser.evaluate(axis), ["6,000", "3,000", "0"]);
    const curve = await browser.evaluate(
      `document.getElementById("curve").getAttribute("d")`,
    ) as string;
    // The share of the height that 4,321 of 6,000 leave free.
    assert(curve.includes(`,${(100 - 100 * 4_321 / 6_000).toFixed(2)}`), curve);
  },
});

Deno.test({
  name: "datagrams that the kernel dropped stand out on the page",
  ignore: chromium === undefined || Deno.build.os !== "linux",
  async fn() {
    await using service = await StatsdService.startWith(
      ["--unstable-no-legacy-abort", "--allow-all"],
    );
    await using browser = await Browser.open(`${service.http}/`);
    await browser.until(SERVING);
    assertEquals(
      await browser.evaluate(`document.getElementById("dropped").hidden`),
      true,
    );
    // More than the receive buffer holds while the service is stopped.
    service.kill("SIGSTOP");
    await send(
      service,
      ...Array<string>(2_000).fill("a:1|c|#x:".padEnd(900, "y")),
    );
    service.kill("SIGCONT");
    await browser.until(`!document.getElementById("dropped").hidden`);
    const [, number] =
      /^Dropped: ([\d,]+) datagrams by the kernel, before udp$/.exec(
        await browser.evaluate(text("dropped")) as string,
      ) ?? [];
    assertEquals(
      await browser.evaluate(
        `[...document.querySelectorAll("td.alarm")].map((td) => td.textContent)`,
      ),
      [number],
    );
  },
});

/** Sizes of a phone and of a desktop, in pixels. */
const SCREENS = [{ width: 400, height: 800 }, { width: 1_280, height: 900 }];

for (const screen of SCREENS) {
  Deno.test({
    name: `the page fits into ${screen.width} pixels, whatever names it shows`,
    ignore: chromium === undefined,
    async fn() {
      await using service = await StatsdService.start("--tcp", "0");
      await using browser = await Browser.open(`${service.http}/`, screen);
      await browser.until(SERVING);
      const long = "n".repeat(1_000);
      await measures(browser);
      await sendLines(
        service,
        `${long}:1|g|#k:${long}`,
        "a:1|g|#k:\u202eabc\u0007",
        `${long}:1|c`,
        `a:1|c|#${long}`,
      );
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
      await browser.evaluate(
        `document.getElementById("uptime").textContent = "up 23 d 12 h";` +
          `document.getElementById("note").textContent = "${
            "a note ".repeat(12)
          }"`,
      );
      // Neither the page nor a card scrolls sideways, and no card sticks out.
      assertEquals(
        await browser.evaluate(
          `[document.documentElement, document.body,
            ...document.querySelectorAll("header, section, table")]
            .filter((element) => element.scrollWidth > element.clientWidth ||
              element.getBoundingClientRect().right > innerWidth)
            .map((element) => element.outerHTML.slice(0, 60))`,
        ),
        [],
      );
    },
  });
}

const PHASE = `document.getElementById("phase").textContent`;

Deno.test({
  name: "the page reconnects when the service is restarted",
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
  name: "a page too many says so and works once another one is closed",
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
  name: "the page says so when the service is killed",
  ignore: chromium === undefined,
  async fn() {
    await using service = await StatsdService.start();
    await using browser = await Browser.open(`${service.http}/`);
    await browser.until(SERVING);
    service.kill("SIGKILL");
    await browser.until(`document.title === "statsd: no connection"`);
  },
});
