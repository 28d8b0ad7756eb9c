/** Lines of StatsD that are as long as the gateway takes them, made to cost time. */

import {
  MAX_LINE,
  parsePacket,
  type Sink,
} from "../../examples/statsd/parse.ts";
import { atScale } from "./at_scale.ts";

const hostile: [what: string, unit: string][] = [
  ["names without a bar", "a:"],
  ["colons", ":"],
  ["bars", "|"],
  ["groups", "a:1|c:"],
  ["values", "1:"],
  ["empty sections", "a:1|c|||||||||"],
  ["origins", "a:1|c|c:"],
  ["tags", "a:1|c|#a:b,"],
  ["commas", "a,"],
  ["brackets", "[]"],
  ["digits", "9"],
];

/** Number of times that each line is parsed, so that its CPU time can be measured. */
const times = 20;

let lines = 0;
const sink: Sink = {
  line: () => lines++,
  sample() {},
  error() {},
  skip() {},
};

for (const [what, unit] of hostile) {
  atScale(
    import.meta,
    `a line of ${what}`,
    {
      size: MAX_LINE - MAX_LINE % 1_000,
      counts: () => ({ lines: 2 * times }),
    },
    (n) => {
      const text = unit.repeat(n / unit.length);
      const packets = [text, `a:${text.slice(2)}`]
        .map((packet) => new TextEncoder().encode(packet));
      lines = 0;
      for (let i = 0; i < times; i++) {
        for (const packet of packets) parsePacket(packet, sink);
      }
      return { lines };
    },
  );
}
