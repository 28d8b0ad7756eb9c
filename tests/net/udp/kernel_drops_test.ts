// The number of dropped datagrams in /proc, here with a /proc of the test's own.

import { assertEquals } from "@std/assert";
import { KernelDrops } from "../../../net/udp/kernel_drops.ts";

/** Stands in for /proc and for the permission to read it. */
class FakeProc implements Disposable {
  /** Files that were read. */
  readonly reads: string[] = [];
  readonly #readTextFileSync = Deno.readTextFileSync;
  readonly #querySync = Deno.permissions.querySync;

  constructor(text: string | Error, state: Deno.PermissionState = "granted") {
    Deno.readTextFileSync = (path) => {
      this.reads.push(String(path));
      if (text instanceof Error) throw text;
      return text;
    };
    Deno.permissions.querySync = () =>
      Object.assign(new EventTarget(), {
        state,
        onchange: null,
        partial: false,
      });
  }

  [Symbol.dispose](): void {
    Deno.readTextFileSync = this.#readTextFileSync;
    Deno.permissions.querySync = this.#querySync;
  }
}

/** Returns the text of the file: a header, and a line for each socket. */
function file(...sockets: [local: string, drops: string][]): string {
  const lines = sockets.map(([local, drops], n) =>
    `${n + 400}: ${local} 00000000:0000 07 00000000:00000000 00:00000000 ` +
    `00000000     0        0 12345 2 0000000000000000 ${drops}`
  );
  return ["  sl  local_address rem_address   st drops", ...lines, ""].join(
    "\n",
  );
}

const udp = { transport: "udp", port: 8080 } as const;
const v4: Deno.Addr = { ...udp, hostname: "127.0.0.1" };
const v4Text = "0100007F:1F90";
const v6Text = "B80D0120000000000000000007000000:1F90";

const rows: [
  what: string,
  addr: Deno.Addr,
  text: string | Error,
  drops: number | undefined,
][] = [
  [
    "the drops of an IPv4 socket",
    v4,
    file(["0200007F:1F90", "1"], [v4Text, "7"], ["0100007F:1F91", "2"]),
    7,
  ],
  [
    "the drops of an IPv6 socket",
    { ...udp, hostname: "2001:db8::7" },
    file(["B80D0120000000000000000008000000:1F90", "1"], [v6Text, "7"]),
    7,
  ],
  [
    "the drops of an IPv6 socket with a zone",
    { ...udp, hostname: "2001:db8::7%2" },
    file([v6Text, "7"]),
    7,
  ],
  ["0 if there are none", v4, file([v4Text, "0"]), 0],
  [
    "undefined for two sockets",
    v4,
    file([v4Text, "1"], [v4Text, "2"]),
    undefined,
  ],
  ["undefined for no socket", v4, file(["0200007F:1F90", "1"]), undefined],
  ["undefined if that is no number", v4, file([v4Text, "ffff"]), undefined],
  ["undefined if the file cannot be read", v4, new Error("no"), undefined],
];
for (const [what, addr, text, drops] of rows) {
  Deno.test({
    name: `KernelDrops returns ${what}`,
    ignore: Deno.build.os !== "linux",
    fn() {
      using proc = new FakeProc(text);
      assertEquals(new KernelDrops(addr).read(), drops);
      const { hostname } = addr as Deno.NetAddr;
      const name = hostname.includes(":") ? "udp6" : "udp";
      assertEquals(proc.reads, [`/proc/net/${name}`]);
    },
  });
}

Deno.test("KernelDrops does not read again after a failure", () => {
  using proc = new FakeProc(new Error("no"));
  const kernelDrops = new KernelDrops(v4);
  kernelDrops.read();
  proc.reads.length = 0;
  assertEquals(kernelDrops.read(), undefined);
  assertEquals(proc.reads, []);
});

Deno.test("KernelDrops does not read without the permission", () => {
  using proc = new FakeProc(file([v4Text, "7"]), "prompt");
  assertEquals(new KernelDrops(v4).read(), undefined);
  assertEquals(proc.reads, []);
});

Deno.test("KernelDrops does not read for a Unix socket", () => {
  using proc = new FakeProc(file([v4Text, "7"]));
  const addr: Deno.Addr = { transport: "unixpacket", path: "/run/log.sock" };
  assertEquals(new KernelDrops(addr).read(), undefined);
  assertEquals(proc.reads, []);
});
