import { assertEquals, assertThrows } from "@std/assert";
import { listenOnPath, SocketFile } from "../../net/unix_socket.ts";
import { listenAt, SocketPath, test } from "./socket_path.ts";

test("listenOnPath() removes the file of a socket that nothing listens on", async () => {
  using at = new SocketPath();
  at.leaveStale();
  assertThrows(() => listenAt(at.path), Deno.errors.AddrInUse);
  using listener = listenOnPath(at.path, true, () => listenAt(at.path));
  using _client = await Deno.connect({ transport: "unix", path: at.path });
  using _accepted = await listener.accept();
});

test("listenOnPath() leaves the file of a dead socket alone if removeStale is false", () => {
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

test("listenOnPath() leaves nothing behind that holds the process", async () => {
  using at = new SocketPath();
  at.leaveStale();
  const script = new URL("testdata/stale_socket.ts", import.meta.url).href;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", script, at.path],
    stderr: "inherit",
  }).output();
  assertEquals(new TextDecoder().decode(stdout), "closed\n");
});

test("SocketFile.remove() removes the file of the socket", () => {
  using at = new SocketPath();
  const socket = Deno.listenDatagram({
    transport: "unixpacket",
    path: at.path,
  });
  const file = new SocketFile(at.path);
  socket.close();
  file.remove();
  assertThrows(() => Deno.lstatSync(at.path), Deno.errors.NotFound);
  file.remove();
});

test("SocketFile.remove() leaves a file that has replaced that of the socket", () => {
  using at = new SocketPath();
  const socket = Deno.listenDatagram({
    transport: "unixpacket",
    path: at.path,
  });
  const file = new SocketFile(at.path);
  Deno.removeSync(at.path);
  Deno.writeTextFileSync(at.path, "precious");
  socket.close();
  file.remove();
  assertEquals(Deno.readTextFileSync(at.path), "precious");
});

test("SocketFile.keepReplacement() keeps the socket of another listener", async () => {
  using at = new SocketPath();
  const ours = listenAt(at.path);
  const file = new SocketFile(at.path);
  Deno.removeSync(at.path);
  using theirs = listenAt(at.path);
  const kept = file.keepReplacement();
  ours.close();
  await kept;
  using _client = await Deno.connect({ transport: "unix", path: at.path });
  using _accepted = await theirs.accept();
  assertEquals([...Deno.readDirSync(at.dir)].length, 1);
});

test("SocketFile.keepReplacement() keeps nothing if the file is still that of the socket", async () => {
  using at = new SocketPath();
  const ours = listenAt(at.path);
  const file = new SocketFile(at.path);
  const kept = file.keepReplacement();
  ours.close();
  await kept;
  assertEquals([...Deno.readDirSync(at.dir)], []);
  await file.keepReplacement();
});

test("SocketFile.keepReplacement() leaves no link behind if the replacement stays", async () => {
  using at = new SocketPath();
  using _ours = listenAt(at.path);
  const file = new SocketFile(at.path);
  Deno.removeSync(at.path);
  using _theirs = listenAt(at.path);
  await file.keepReplacement();
  assertEquals([...Deno.readDirSync(at.dir)].map(({ name }) => name), [
    "server.sock",
  ]);
});
