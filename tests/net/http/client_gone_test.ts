import { assertEquals } from "@std/assert";

// Deno's default is about to become that of the flag.
for (
  const [flags, streaming] of [
    // Deno does not say there whether a stream was read to its end.
    [[], "AbortError"],
    [["--unstable-no-legacy-abort"], "ClientGone"],
  ] as const
) {
  const mode = flags.length === 0 ? "by default" : `with ${flags}`;
  Deno.test(`a client that goes away is the cause of its request's end, ${mode}`, async () => {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-net", ...flags, "client_gone.ts"],
      cwd: new URL("../testdata/", import.meta.url),
    }).output();
    assertEquals(new TextDecoder().decode(stdout).trim().split("\n"), [
      "/answered AbortError",
      "/waiting ClientGone",
      `/streaming ${streaming}`,
    ]);
  });
}
