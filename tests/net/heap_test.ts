// Requests and datagrams leave nothing in the heap.

import { assert, assertEquals } from "@std/assert";

/** Runs a program of testdata/ and reads the JSON that it prints. */
async function run(
  script: string,
  flags: string[],
  ...args: string[]
): Promise<Record<string, number[] & number>> {
  const url = new URL(`testdata/${script}`, import.meta.url).href;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-check", "--unstable-net", "--allow-net"],
      ...[`--v8-flags=${["--expose-gc", ...flags].join(",")}`, url, ...args],
    ],
    stderr: "inherit",
  }).output();
  return JSON.parse(new TextDecoder().decode(stdout));
}

const requests = 200_000;

Deno.test("requests leave nothing in the heap", async () => {
  const { served, inFlight, heaps } = await run(
    "many_requests.ts",
    [],
    `${requests}`,
  );
  assertEquals(served, requests);
  assertEquals(inFlight, 0);
  // The first parts compile and optimize. One word for each of the requests after
  // them would be a megabyte.
  const growth = heaps!.at(-1)! - heaps![3]!;
  assert(growth < 500_000, `the heap has grown by ${growth} bytes: ${heaps}`);
});

Deno.test({
  name: "serveUdp() allocates nothing for a datagram in addition to receive()",
  // Coverage counters allocate.
  ignore: Deno.env.has("DENO_COVERAGE_DIR"),
  async fn() {
    // A nursery so large that nothing is collected during a part.
    const flags = ["--min-semi-space-size=128", "--max-semi-space-size=128"];
    const bytes: number[] = [];
    for (const way of ["bare", "at once"]) {
      const { grown } = await run("many_datagrams.ts", flags, way, "200000");
      // The engine still compiles during the first parts, in a thread of its own. The
      // first alone may seem to take less: its growth depends on when that is done.
      bytes.push(Math.min(...grown!.slice(1)) / 20_000);
    }
    const [bare, ours] = bytes;
    // An object with two fields takes at least 20 bytes.
    assert(
      ours! - bare! < 4,
      `${ours} bytes a datagram, ${bare} in a bare loop`,
    );
  },
});

Deno.test("a flood of datagrams leaves nothing in memory", async () => {
  const { held } = await run("many_datagrams.ts", [], "slowly", "1000000");
  const growth = held!.at(-1)! - held![3]!;
  assert(growth < 500_000, `memory has grown by ${growth} bytes: ${held}`);
});

Deno.test("a backlog that is never empty leaves nothing in the heap", async () => {
  const { growth } = await run("long_backlog.ts", []);
  assert(growth! < 1_000_000, `the heap has grown by ${growth} bytes`);
});
