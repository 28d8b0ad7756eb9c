/** A client of the forwarder that sends and receives raw messages. */

import type { Transport } from "../../examples/dns/upstream.ts";
import { frame, messages } from "../../examples/dns/wire.ts";
import type { DnsService } from "./dns_service.ts";
import { udpSocket } from "./dns_upstream.ts";

/** A client, over UDP or on a TCP connection. */
export interface Client extends Disposable {
  send(...messages: Uint8Array[]): Promise<void>;
  /** Resolves with the next reply, or with undefined if a TCP connection has ended. */
  receive(): Promise<Uint8Array | undefined>;
}

/** Makes a client of `dns`. */
export async function connect(
  { addr }: DnsService,
  transport: Transport,
): Promise<Client> {
  if (transport === "udp") {
    const socket = udpSocket();
    return {
      async send(...messages) {
        for (const message of messages) await socket.send(message, addr);
      },
      async receive() {
        return (await socket.receive(new Uint8Array(65_535)))[0];
      },
      [Symbol.dispose]: () => socket.close(),
    };
  }
  const { hostname, port } = addr;
  const conn = await Deno.connect({ hostname, port });
  const answers = messages(conn, 65_535);
  return {
    async send(...messages) {
      await conn.write(
        Uint8Array.from(messages.flatMap((message) => [...frame(message)])),
      );
    },
    async receive() {
      return (await answers.next()).value;
    },
    [Symbol.dispose]: () => conn.close(),
  };
}
