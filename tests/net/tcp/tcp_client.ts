/** Raw connection: `fetch` would hide how a server closes it, and retry requests. */
export class TcpClient implements Disposable {
  readonly #conn: Deno.TcpConn;
  #text = "";

  private constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
  }

  static async connect(to: Deno.Addr): Promise<TcpClient> {
    const { hostname, port } = to as Deno.NetAddr;
    return new TcpClient(await Deno.connect({ hostname, port }));
  }

  async write(text: string): Promise<void> {
    await this.#conn.write(new TextEncoder().encode(text));
  }

  /** The same, unless the server has closed the connection. */
  async writeIfOpen(text: string): Promise<void> {
    try {
      await this.write(text);
    } catch (error) {
      const isClosed = error instanceof Deno.errors.BrokenPipe ||
        error instanceof Deno.errors.ConnectionReset;
      if (!isClosed) throw error;
    }
  }

  /** Sends a GET request and leaves the connection open. */
  async get(path: string): Promise<void> {
    await this.write(`GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`);
  }

  /** Reads until `text` has come. Keeps everything after it for the next call. */
  async readUntil(text: string): Promise<string> {
    while (!this.#text.includes(text)) {
      if (!await this.#readMore()) {
        throw new Error(`the connection has ended after: ${this.#text}`);
      }
    }
    const end = this.#text.indexOf(text) + text.length;
    const read = this.#text.slice(0, end);
    this.#text = this.#text.slice(end);
    return read;
  }

  /** Reads until the server closes or resets the connection. */
  async readToEnd(): Promise<string> {
    while (await this.#readMore());
    return this.#text;
  }

  async #readMore(): Promise<boolean> {
    const buffer = new Uint8Array(4096);
    try {
      const n = await this.#conn.read(buffer);
      if (n === null) return false;
      this.#text += new TextDecoder().decode(buffer.subarray(0, n));
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionReset) return false;
      throw error;
    }
  }

  close(): void {
    this.#conn.close();
  }

  [Symbol.dispose](): void {
    try {
      this.#conn.close();
    } catch {
      // Closed by the test.
    }
  }
}
