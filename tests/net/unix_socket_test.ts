import { assertEquals, assertThrows } from "@std/assert";
import { listenOnPath } from "../../net/unix_socket.ts";

const test = Deno.build.os === "windows" ? Deno.test.ignore : Deno.test;

/** A path in a folder that is removed with its block. */
class SocketPath implements Disposable {
  readonly #dir = Deno.makeTempDirSync();
  readonly path = `${this.#dir}/server.sock`;

  /** Leaves the file of a socket that nothing listens on. */
  leaveStale(): void {
    // Deno removes the file of a stream socket when it closes that.
    const other = `${this.path}.other`;
    const listener = listenAt(this.path);
    Deno.renameSync(this.path, other);
    listener.close();
    Deno.renameSync(other, this.path);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#dir, { recursive: true });
  }
}

function listenAt(path: string): Deno.UnixListener {
  return Deno.listen({ transport: "unix", path });
}

test("listenOnPath() removes the file of a socket that nothing listens on", async () => {
  using at = new SocketPath();
  at.leaveStale();
  assertThrows(() => listenAt(at.path), Deno.errors.AddrInUse);
  using listener = listenOnPath(at.path, true, () => listenAt(at.path));
  using _client = await Deno.connect({ transport: "unix", path: at.path });
  using _accepted = await listener.accept();
});

test("listenOnPath() leaves the file of a dead socket alone if it is told to", () => {
  using at = new SocketPath();
  at.leaveStale();
  assertThrows(
    () => listenOnPath(at.path, false, () => listenAt(at.path)),
    Deno.errors.AddrInUse,
  );
  assertEquals(Deno.lstatSync(at.path).isSocket, true);
});

test("listenOnPath() leaves a socket alone that another listener has open", async () => {
  using at = new SocketPath();
  using listener = listenAt(at.path);
  const { ino } = Deno.lstatSync(at.path);
  assertThrows(
    () => listenOnPath(at.path, true, () => listenAt(at.path)),
    Deno.errors.AddrInUse,
  );
  assertEquals(Deno.lstatSync(at.path).ino, ino);
  using probe = await listener.accept();
  assertEquals(await probe.read(new Uint8Array(1)), null);
});

test("listenOnPath() leaves a socket for datagrams alone that another one has open", () => {
  using at = new SocketPath();
  const listen = () =>
    Deno.listenDatagram({ transport: "unixpacket", path: at.path });
  const socket = listen();
  assertThrows(
    () => listenOnPath(at.path, true, listen),
    Deno.errors.AddrInUse,
  );
  assertEquals(Deno.lstatSync(at.path).isSocket, true);
  socket.close();
  // Deno leaves the file of such a socket.
  listenOnPath(at.path, true, listen).close();
});

test("listenOnPath() leaves a file alone that is no socket", () => {
  using at = new SocketPath();
  Deno.writeTextFileSync(at.path, "precious");
  assertThrows(
    () => listenOnPath(at.path, true, () => listenAt(at.path)),
    Deno.errors.AddrInUse,
  );
  assertEquals(Deno.readTextFileSync(at.path), "precious");
});

test("listenOnPath() throws what listen() throws for any other reason", () => {
  assertThrows(
    () =>
      listenOnPath(
        "/no/such/folder/a.sock",
        true,
        () => listenAt("/no/such/folder/a.sock"),
      ),
    Deno.errors.NotFound,
  );
});
