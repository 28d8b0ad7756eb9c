/** What the kernel drops before a socket is read. */

/**
 * Reads how many datagrams the kernel has dropped because the receive buffer of a
 * socket was full: the last column of its line in /proc/net/udp. Deno cannot make
 * that buffer larger (#13625), so its owner should at least see what it costs.
 */
export class KernelDrops {
  readonly #file: string;
  readonly #addr: Deno.NetAddr;
  readonly #hostname: string;
  #readable: boolean;

  constructor(addr: Deno.Addr) {
    this.#addr = addr as Deno.NetAddr;
    const { transport } = addr;
    const sixth = transport === "udp" && addr.hostname.includes(":");
    this.#hostname = sixth ? canonical(addr.hostname) : this.#addr.hostname;
    this.#file = sixth ? "/proc/net/udp6" : "/proc/net/udp";
    this.#readable = transport === "udp" && Deno.build.os === "linux" &&
      // What is not granted must not be asked for at a terminal.
      Deno.permissions.querySync({ name: "read", path: this.#file }).state ===
        "granted";
  }

  /** Their number; undefined where it cannot be known. */
  read(): number | undefined {
    if (!this.#readable) return undefined;
    try {
      const lines = Deno.readTextFileSync(this.#file).split("\n").slice(1)
        .map((line) => line.trim().split(/\s+/))
        .filter(([, local = ""]) => this.#isHere(local));
      // Sockets that share an address (reuseAddress) cannot be told apart.
      const drops = lines.length === 1 ? Number(lines[0]!.at(-1)) : NaN;
      return Number.isNaN(drops) ? undefined : drops;
    } catch {
      // Deno guards /proc by more than the permission to read.
      this.#readable = false;
      return undefined;
    }
  }

  /** Whether `local` is the address: such as `0100007F:1F90`, in hex. */
  #isHere(local: string): boolean {
    const [host = "", port = ""] = local.split(":");
    return parseInt(port, 16) === this.#addr.port &&
      hostnameOf(host) === this.#hostname;
  }
}

/** An address as the kernel prints it: words in the order of the machine. */
function hostnameOf(hex: string): string {
  const words = hex.match(/.{8}/g) ?? [];
  const bytes = words.flatMap((word) => word.match(/../g)!.toReversed());
  if (bytes.length === 4) return bytes.map((b) => parseInt(b, 16)).join(".");
  return canonical(bytes.join("").replace(/(.{4})(?!$)/g, "$1:"));
}

/** An IPv6 address in its one shortest form. */
function canonical(hostname: string): string {
  const [address] = hostname.split("%");
  return new URL(`http://[${address}]/`).hostname.slice(1, -1);
}
