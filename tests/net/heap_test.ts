import { assert, assertEquals } from "@std/assert";

const requests = 200_000;

Deno.test("requests leave nothing behind in the heap", async () => {
  const script = new URL("testdata/many_requests.ts", import.meta.url).href;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-check", "--v8-flags=--expose-gc"],
      ...["--allow-net", script, `${requests}`],
    ],
    stderr: "inherit",
  }).output();
  const { served, inFlight, heaps } = JSON.parse(
    new TextDecoder().decode(stdout),
  );
  assertEquals(served, requests);
  assertEquals(inFlight, 0);
  // The first parts compile and optimise. One word for each of the requests after
  // them would be a megabyte.
  const growth = heaps.at(-1) - heaps[3];
  assert(growth < 500_000, `the heap has grown by ${growth} bytes: ${heaps}`);
});
