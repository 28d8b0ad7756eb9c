import { assert, assertEquals } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { Aggregate } from "../../examples/statsd/aggregate.ts";
import { parsePacket } from "../../examples/statsd/parse.ts";
import {
  MAX_REFUSALS,
  RefusalLog,
  type RefusalReason,
} from "../../examples/statsd/refusals.ts";
import { visible } from "../../examples/statsd/visible.ts";

const encoder = new TextEncoder();

function add(log: RefusalLog, line: string, reason: RefusalReason): void {
  // In a packet, so that a wrong end of the line shows.
  const data = encoder.encode(`before:1|c\n${line}\nafter:1|c`);
  const from = "before:1|c\n".length;
  log.add(reason, data, from, from + encoder.encode(line).length);
}

function aggregated(lines: string[], options = {}): Aggregate {
  const aggregate = new Aggregate(options);
  parsePacket(encoder.encode(lines.join("\n")), aggregate);
  return aggregate;
}

const NAMED: [
  lines: string[],
  name: string,
  reason: RefusalReason,
  detail: string,
  options?: object,
][] = [
  [["page.clicks"], "page.clicks", "malformed_line", ""],
  [["page.load:fast|ms"], "page.load", "malformed_value", ""],
  [["page.views:1|q"], "page.views", "illegal_event", ""],
  [["ok:1|c", "bad:1|c:2|q"], "bad", "illegal_event", ""],
  [
    ["zuul.geard:0|ms", "zuul.geard:1|c"],
    ...["zuul.geard", "kind_conflict", "zuul_geard is a timing"] as const,
  ],
  [
    ["a.b:1|c", "a_b:1|g|#x:1"],
    ...["a_b", "kind_conflict", "a_b is a counter"] as const,
  ],
  [
    ["lat:1|ms", "lat.count:5|g"],
    "lat.count",
    "kind_conflict",
    "lat_count is a line of the timing lat",
  ],
  [
    ["lat.count:5|g", "lat:1|ms"],
    "lat",
    "kind_conflict",
    "lat_count is a line of the gauge lat_count",
  ],
  [
    ["statsd.lines.total:1|c"],
    "statsd.lines.total",
    "kind_conflict",
    "statsd_lines_total is a line of this service",
  ],
  [["stock:-1|c"], "stock", "illegal_negative_counter", ""],
  [
    [`a:1|c|#${Array.from({ length: 65 }, (_, i) => `t${i}:1`).join()}`],
    ...["a", "too_many_tags", "more than 64 tags"] as const,
  ],
  [
    ["a:1|c", "b:1|c"],
    ...["b", "series_limit"] as const,
    "--max-series or their text allows no more",
    { maxSeries: 1 },
  ],
  [
    ["a:x|s", "a:y|s"],
    ...["a", "member_limit", ""] as const,
    { maxMembers: 1 },
  ],
  [
    ["x:1|c|#a:1,novalue,other"],
    ...["x", "tag_error", 'not KEY:VALUE: "novalue"'] as const,
  ],
  [["foo[a:1|c"], "foo[a", "tag_error", 'not KEY:VALUE: "["'],
  [
    ["a,b=1:1|c|#c:2"],
    ...["a,b=1", "mixed_tagging_styles", ""] as const,
  ],
];

for (const [lines, name, reason, detail, options] of NAMED) {
  const last = lines.at(-1)!;
  Deno.test(`the refusal of ${last.slice(0, 40)} is listed with name and reason`, () => {
    const [refused, ...others] = aggregated(lines, options).refusals.latest();
    assertEquals(others, []);
    const { at, ...rest } = refused!;
    const line = last.length > 200 ? `${last.slice(0, 200)}…` : last;
    assertEquals(rest, { name, reason, detail, line, count: 1 });
    assert(Math.abs(Date.now() - at) < 60_000);
  });
}

Deno.test("RefusalLog counts up repeated refusals of a name and moves them to the front", () => {
  using time = new FakeTime();
  const log = new RefusalLog();
  add(log, "a:1|q", "illegal_event");
  add(log, "b:1|q", "illegal_event");
  time.tick(1_000);
  add(log, "a:2|q", "illegal_event");
  add(log, "b:x|c", "malformed_value");
  assertEquals(
    log.latest().map(({ name, reason, line, count, at }) => [
      ...[name, reason, line, count, at - time.start],
    ]),
    [
      ["b", "malformed_value", "b:x|c", 1, 1_000],
      ["a", "illegal_event", "a:2|q", 2, 1_000],
      ["b", "illegal_event", "b:1|q", 1, 0],
    ],
  );
  assertEquals(log.total, 4);
  assertEquals(log.latest(1).map(({ line }) => line), ["b:x|c"]);
});

Deno.test("RefusalLog keeps the latest entries of a flood, and all counts of a name that stays", () => {
  const log = new RefusalLog();
  for (let i = 0; i < 1_000; i++) {
    add(log, `n${i}:1|q`, "illegal_event");
    add(log, "often:1|q", "illegal_event");
  }
  const latest = log.latest(Infinity);
  assertEquals(latest.length, MAX_REFUSALS);
  assertEquals([latest[0]?.name, latest[0]?.count], ["often", 1_000]);
  assertEquals(
    latest.slice(1).map(({ name }) => name),
    Array.from({ length: MAX_REFUSALS - 1 }, (_, i) => `n${999 - i}`),
  );
});

Deno.test("RefusalLog cuts long names and lines and makes control characters visible", () => {
  const log = new RefusalLog();
  add(log, `${"n".repeat(201)}:1|q`, "illegal_event");
  add(log, `${"m".repeat(200)}:1|q`, "illegal_event");
  add(log, "esc\x1b[31m:1|q\x07", "illegal_event");
  log.add("tag_error", encoder.encode("a:1|c"), 0, 5, "\x1b");
  log.add("tag_error", encoder.encode("b:1|c"), 0, 5, "d".repeat(201));
  log.add("tag_error", encoder.encode("c:1|c"), 0, 5, "d".repeat(200));
  assertEquals(
    log.latest().map(({ name, line, detail }) => [name, line, detail]),
    [
      ["c", "c:1|c", "d".repeat(200)],
      ["b", "b:1|c", `${"d".repeat(200)}…`],
      ["a", "a:1|c", "\\u{1b}"],
      ["esc\\u{1b}[31m", "esc\\u{1b}[31m:1|q\\u{7}", ""],
      ["m".repeat(200), `${"m".repeat(200)}…`, ""],
      [`${"n".repeat(200)}…`, `${"n".repeat(200)}…`, ""],
    ],
  );
});

Deno.test("RefusalLog takes a line without a colon as its name, whatever follows it", () => {
  const log = new RefusalLog();
  add(log, "nothing", "malformed_line");
  assertEquals(log.latest()[0]?.name, "nothing");
});

Deno.test("RefusalLog.news() returns what was added since the last call, and how much more", () => {
  const log = new RefusalLog();
  const news = (count: number) => {
    const { entries, others } = log.news(count);
    return [entries.map(({ name, count }) => `${name} ${count}`), others];
  };
  assertEquals(news(2), [[], 0]);
  for (const name of ["a", "b", "b", "c"]) {
    add(log, `${name}:1|q`, "illegal_event");
  }
  assertEquals(news(2), [["c 1", "b 2"], 1]);
  assertEquals(news(2), [[], 0]);
  add(log, "b:1|q", "illegal_event");
  assertEquals(news(2), [["b 1"], 0]);
  for (let i = 0; i < MAX_REFUSALS + 5; i++) {
    add(log, `n${i}:1|q`, "illegal_event");
  }
  // Entries that were pushed out are counted among the others.
  assertEquals(log.news(3).others, MAX_REFUSALS + 5 - 3);
});

const VISIBLE: [text: string, visible: string][] = [
  ["plain text, ünïcode 🎉", "plain text, ünïcode 🎉"],
  ["\x1b[31m", "\\u{1b}[31m"],
  ["\0\t\n\r\x7f", "\\u{0}\\u{9}\\u{a}\\u{d}\\u{7f}"],
  ["\u0080\u009b\u009f", "\\u{80}\\u{9b}\\u{9f}"],
  ["\u2028\u2029\u202e\u2066", "\\u{2028}\\u{2029}\\u{202e}\\u{2066}"],
  ["C:\\users", "C:\\users"],
  ["\\u{1b}", "\\u{5c}u{1b}"],
  ["👩\u200d💻", "👩\u200d💻"],
];

Deno.test("visible() replaces control characters and nothing else, reversibly", () => {
  for (const [text, expected] of VISIBLE) {
    assertEquals(visible(text), expected);
    const back = expected.replace(
      /\\u\{([0-9a-f]+)\}/g,
      (_, code) => String.fromCodePoint(parseInt(code, 16)),
    );
    assertEquals(back, text);
  }
});
