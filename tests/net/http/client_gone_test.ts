// Clients that leave before they have their response.

import { assertEquals } from "@std/assert";

const testdata = new URL("../testdata/", import.meta.url);

// Deno's default is about to become that of the flag.
for (
  const [flags, streaming] of [
    // Without it Deno does not tell whether a stream was read to its end.
    [[], "AbortError"],
    [["--unstable-no-legacy-abort"], "ClientGone"],
  ] as const
) {
  const mode = flags.length === 0 ? "by default" : `with ${flags}`;
  Deno.test(`serveHttp() ends the ctx of a client that leaves with ClientGone, ${mode}`, async () => {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-net", ...flags, "client_gone.ts"],
      cwd: testdata,
    }).output();
    assertEquals(new TextDecoder().decode(stdout).trim().split("\n"), [
      "/answered AbortError",
      "/waiting ClientGone",
      `/streaming ${streaming}`,
    ]);
  });
}

interface Span {
  readonly name: string;
  readonly kind: number;
  readonly status: { readonly code: number };
  readonly attributes: readonly {
    readonly key: string;
    readonly value: Record<string, unknown>;
  }[];
}

interface Traces {
  readonly resourceSpans?: readonly {
    readonly scopeSpans: readonly { readonly spans: readonly Span[] }[];
  }[];
}

Deno.test("serveHttp() gives a client that leaves 499 in traces, which is no error", async () => {
  const spans: string[] = [];
  await using collector = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      const { resourceSpans = [] } = await request.json() as Traces;
      for (const { scopeSpans } of resourceSpans) {
        for (
          const { kind, status, attributes } of scopeSpans.flatMap((scope) =>
            scope.spans
          )
        ) {
          const get = (key: string) =>
            Object.values(
              attributes.find((each) => each.key === key)!.value,
            )[0];
          const isServer = kind === 2;
          if (!isServer) continue;
          const code = get("http.response.status_code");
          spans.push(`${get("url.path")} ${code}, error: ${status.code === 2}`);
        }
      }
      return Response.json({});
    },
  );
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", "client_gone_trace.ts"],
    cwd: testdata,
    env: {
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.addr.port}`,
    },
    stderr: "null",
  }).output();
  assertEquals(new TextDecoder().decode(stdout), "");
  assertEquals(spans.sort(), [
    "/uploads 499, error: false",
    "/waits 499, error: false",
  ]);
});
