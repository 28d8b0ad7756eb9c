// The life of an upgraded socket, by a socket that the test controls.

import { assertEquals } from "@std/assert";
import {
  closeCode,
  UpgradedSocket,
} from "../../../net/http/upgraded_socket.ts";

class FakeSocket extends EventTarget {
  readonly codes: number[] = [];

  close(code: number): void {
    this.codes.push(code);
  }
}

function follow(): {
  socket: FakeSocket;
  life: UpgradedSocket;
  told: string[];
} {
  const socket = new FakeSocket();
  const told: string[] = [];
  const life = new UpgradedSocket(socket as unknown as WebSocket, {
    closed: () => told.push("closed"),
    neverOpened: () => told.push("never opened"),
  });
  return { socket, life, told };
}

Deno.test("UpgradedSocket gives a socket 40 looks to open, then counts it as closed", () => {
  const { socket, life, told } = follow();
  for (let i = 1; i < 40; i++) life.look();
  assertEquals(told, []);
  life.look();
  assertEquals(told, ["never opened", "closed"]);
  life.look();
  socket.dispatchEvent(new Event("close"));
  assertEquals(told, ["never opened", "closed"]);
});

Deno.test("UpgradedSocket leaves a socket alone once it is open", () => {
  const { socket, life, told } = follow();
  socket.dispatchEvent(new Event("open"));
  for (let i = 0; i < 50; i++) life.look();
  assertEquals(told, []);
  socket.dispatchEvent(new Event("close"));
  assertEquals(told, ["closed"]);
});

Deno.test("UpgradedSocket.close() begins the closing handshake, and waits for its end", () => {
  const { socket, life, told } = follow();
  life.close(closeCode.goingAway);
  assertEquals([socket.codes, told], [[1001], []]);
  socket.dispatchEvent(new Event("close"));
  assertEquals(told, ["closed"]);
});
