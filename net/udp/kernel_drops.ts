/** Datagrams that the kernel drops before a socket is read. */

/**
 * Reads the number of datagrams that the kernel has dropped because the receive
 * buffer of a socket was full: the last column of its line in /proc/net/udp. Deno
 * cannot enlarge that buffer (denoland/deno#13625), so users should at least see
 * what that costs.
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
      // Reading without the permission would prompt for it.
      Deno.permissions.querySync({ name: "read", path: this.#file }).state ===
        "granted";
  }

  /** Returns the number of drops; undefined if it cannot be known. */
  read(): number | undefined {
    if (!this.#readable) return undefined;
    try {
      const lines = Deno.readTextFileSync(this.#file).split("\n").slice(1)
        .map((line) => line.trim().split(/\s+/))
        .filter(([, local = ""]) => this.#isHere(local));
      // The lines of sockets that share an address (reuseAddress) look the same.
      const drops = lines.length === 1 ? Number(lines[0]!.at(-1)) : NaN;
      return Number.isNaN(drops) ? undefined : drops;
    } catch {
      // Deno guards /proc with more than the permission to read.
      this.#readable = false;
      return undefined;
    }
  }

  /** Reports whether `local` is our address, as hex such as `0100007F:1F90`. */
  #isHere(local: string): boolean {
    const [host = "", port = ""] = local.split(":");
    return parseInt(port, 16) === this.#addr.port &&
      hostnameOf(host) === this.#hostname;
  }
}

/** Decodes an address as the kernel prints it: words in native byte order. */
function hostnameOf(hex: string): string {
  const words = hex.match(/.{8}/g) ?? [];
  const bytes = words.flatMap((word) => word.match(/../g)!.toReversed());
  if (bytes.length === 4) return bytes.map((b) => parseInt(b, 16)).join(".");
  return canonical(bytes.join("").replace(/(.{4})(?!$)/g, "$1:"));
}

/** Returns the canonical form of an IPv6 address. */
function canonical(hostname: string): string {
  const [address] = hostname.split("%");
  return new URL(`http://[${address}]/`).hostname.slice(1, -1);
}
