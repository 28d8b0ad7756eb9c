import { assertEquals } from "@std/assert";
import { acceptsGzip, chooseFormat } from "../../examples/statsd/negotiate.ts";

const OPEN = "application/openmetrics-text";

const FORMATS: [accept: string | null, format: "text" | "openmetrics"][] = [
  [null, "text"],
  ["", "text"],
  ["*/*", "text"],
  ["text/html", "text"],
  ["text/plain", "text"],
  ["text/plain; version=0.0.4; charset=utf-8", "text"],
  [OPEN, "openmetrics"],
  [OPEN.toUpperCase(), "openmetrics"],
  [`${OPEN}; version=1.0.0`, "openmetrics"],
  [`${OPEN}; version="1.0.0"`, "openmetrics"],
  [`${OPEN}; version=0.0.1`, "text"],
  [`${OPEN}; q=0`, "text"],
  [`${OPEN}; q=0.5, text/plain`, "text"],
  [`${OPEN}, text/plain; q=0.5`, "text"],
  [`${OPEN}, text/plain; q=0.31`, "text"],
  [`${OPEN}, text/plain; q=0.29`, "openmetrics"],
  [`text/plain;q=0.5,${OPEN};q=0.6`, "text"],
  ["application/vnd.google.protobuf", "text"],
  [`${OPEN}, text/plain`, "text"],
  [`${OPEN}; q=0.4, */*; q=0.5`, "text"],
  [`${OPEN}, */*; q=0.1`, "openmetrics"],
  [`application/*, text/*; q=0.2`, "openmetrics"],
  [`text/plain; version=1.0.0, ${OPEN}; q=0.2`, "openmetrics"],
  [`${OPEN}; q=nonsense, text/plain; q=0.1`, "text"],
  [`${OPEN}; q=2, text/plain; q=0.1`, "text"],
  [`${OPEN}; q=-1`, "text"],
  [`${OPEN}; q=`, "text"],
  // Prometheus 2.42 and 3.
  [
    `${OPEN};version=1.0.0,${OPEN};version=0.0.1;q=0.75,` +
    `text/plain;version=0.0.4;q=0.5,*/*;q=0.1`,
    "text",
  ],
  [
    `${OPEN};version=1.0.0;escaping=allow-utf-8;q=0.5,` +
    `${OPEN};version=0.0.1;q=0.4,` +
    `text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,` +
    `text/plain;version=0.0.4;q=0.2,*/*;q=0.1`,
    "text",
  ],
  ["text/plain;version=0.0.4;q=1,*/*;q=0.1", "text"],
];

for (const [accept, format] of FORMATS) {
  Deno.test(`chooseFormat() returns ${format} for Accept: ${accept}`, () => {
    assertEquals(chooseFormat(accept), format);
  });
}

const PROTO = "application/vnd.google.protobuf";
const MESSAGE = "io.prometheus.client.MetricFamily";

const NATIVE: [accept: string | null, format: string][] = [
  [PROTO, "protobuf"],
  [`${PROTO};proto=${MESSAGE};encoding=delimited`, "protobuf"],
  [`${PROTO};proto=${MESSAGE};encoding=text`, "text"],
  [`${PROTO};proto=other.Message;encoding=delimited`, "text"],
  [`${PROTO};q=0.5,text/plain`, "text"],
  [`${PROTO};q=0`, "text"],
  ["*/*", "text"],
  ["application/*", "openmetrics"],
  [null, "text"],
  // Prometheus 2.42 with native histograms.
  [
    `${PROTO};proto=${MESSAGE};encoding=delimited,` +
    `${OPEN};version=1.0.0;q=0.8,${OPEN};version=0.0.1;q=0.75,` +
    `text/plain;version=0.0.4;q=0.5,*/*;q=0.1`,
    "protobuf",
  ],
];

for (const [accept, format] of NATIVE) {
  Deno.test(`chooseFormat() with native histograms returns ${format} for Accept: ${accept}`, () => {
    assertEquals(chooseFormat(accept, true), format);
  });
}

const CODINGS: [accepted: string | null, gzip: boolean][] = [
  [null, false],
  ["", false],
  ["gzip", true],
  ["GZIP", true],
  ["x-gzip", true],
  ["gzip, deflate, br", true],
  ["br;q=1.0, gzip;q=0.2", true],
  ["br", false],
  ["gzip;q=0", false],
  ["gzip; q=0.0, *", false],
  ["*", true],
  ["*;q=0", false],
  ["identity", false],
  ["identity, gzip;q=0.5", false],
  ["identity;q=0.5, gzip", true],
  ["identity;q=0.5, gzip;q=0.5", true],
];

for (const [accepted, gzip] of CODINGS) {
  Deno.test(`acceptsGzip() returns ${gzip} for Accept-Encoding: ${accepted}`, () => {
    assertEquals(acceptsGzip(accepted), gzip);
  });
}
