// Deno's own OpenTelemetry, with a collector that takes what it exports.

import { assert, assertEquals } from "@std/assert";

interface Attributes {
  readonly attributes: readonly {
    readonly key: string;
    readonly value: Readonly<Record<string, string | number>>;
  }[];
}

interface Span extends Attributes {
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: number;
  readonly status: { readonly code: number; readonly message?: string };
  readonly events: readonly Attributes[];
}

/** Body of an export; those of logs and metrics have other keys. */
interface Export {
  readonly resourceSpans?: readonly {
    readonly scopeSpans: readonly { readonly spans: readonly Span[] }[];
  }[];
}

/** `kind` of the span of a request that a server has received. */
const serverKind = 2;

/** Names of `status.code`. */
const statuses = ["unset", "ok", "error"];

/** Runs testdata/otel.ts to its end and returns its spans. */
async function traced(): Promise<Span[]> {
  const spans: Span[] = [];
  await using collector = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      const { resourceSpans = [] } = await request.json() as Export;
      for (const { scopeSpans } of resourceSpans) {
        spans.push(...scopeSpans.flatMap((scope) => scope.spans));
      }
      return Response.json({});
    },
  );
  // Deno exports its last spans before the process ends.
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", "otel.ts"],
    cwd: new URL("../testdata/", import.meta.url),
    env: {
      NO_COLOR: "1",
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.addr.port}`,
    },
  }).output();
  const text = new TextDecoder();
  assertEquals([code, text.decode(stdout)], [0, ""], text.decode(stderr));
  return spans;
}

/** Returns an attribute; OTLP writes an int64 as a string. */
function attribute(
  { attributes }: Attributes,
  key: string,
): string | number | undefined {
  const value = attributes.find((each) => each.key === key)?.value;
  return value && Object.values(value)[0];
}

function named(spans: readonly Span[], name: string): Span {
  const found = spans.filter((span) => span.name === name);
  assertEquals(found.length, 1, `spans named ${name}`);
  return found[0]!;
}

Deno.test("serveHttp() and withSpan() say in Deno's traces how a request has ended", async (t) => {
  const spans = await traced();
  const requests = spans.filter(({ kind }) => kind === serverKind);
  const request = (path: string) =>
    requests.find((span) => attribute(span, "url.path") === path)!;

  await t.step("server spans have the status of the answer", () => {
    const seen = requests.map((span) => {
      const status = attribute(span, "http.response.status_code");
      const path = attribute(span, "url.path");
      return `${path} ${status} ${statuses[span.status.code]}`;
    });
    assertEquals(seen.sort(), [
      "/answered 200 unset",
      "/deadline 504 error",
      "/drained 200 unset",
      "/gone 499 unset",
    ]);
  });

  await t.step("withSpan() records a deadline as an error", () => {
    const span = named(spans, "price");
    assertEquals(span.parentSpanId, request("/deadline").spanId);
    assertEquals(statuses[span.status.code], "error");
    assertEquals(
      span.status.message,
      "TimeoutError: context deadline exceeded",
    );
    const left = Number(attribute(span, "context.remaining_ms"));
    assert(left <= 20, `${left} ms`);
    assertEquals(
      attribute(span, "context.cause"),
      "TimeoutError: context deadline exceeded",
    );
    assertEquals(
      span.events.map((event) => attribute(event, "exception.type")),
      ["TimeoutError"],
    );
  });

  await t.step("withSpan() records a client that leaves as no error", () => {
    const span = named(spans, "wait");
    assertEquals(span.parentSpanId, request("/gone").spanId);
    assertEquals(statuses[span.status.code], "unset");
    assertEquals(
      attribute(span, "context.cause"),
      "ClientGone: the client has closed the connection",
    );
    assertEquals(span.events, []);
  });
});
