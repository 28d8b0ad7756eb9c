/**
 * HTTP, TCP and UDP servers that drain when their context is done, and
 * `closeOnDone` for any other resource.
 *
 * Each server stops in two phases. When its context is done, it drains: it takes no
 * new work and finishes what is in flight. When the grace period is over, the
 * contexts of what is left are canceled and the sockets are closed.
 *
 * @example A server that ends with its context
 * ```ts
 * import { serveHttp } from "@curfew/context/net";
 * import { background, withCancel } from "@curfew/context/context";
 *
 * const ctx = withCancel(background());
 * const server = serveHttp(
 *   ctx,
 *   { hostname: "127.0.0.1", port: 0 },
 *   () => new Response("hello"),
 * );
 * ctx.cancel();
 * await server.finished;
 * ```
 *
 * @module
 */

export type {
  Server,
  ServerAddr,
  ServerOptions,
  ServerState,
  ShutdownOptions,
} from "./server.ts";
export { closeOnDone } from "./close_on_done.ts";
export {
  type HttpOptions,
  serveHttp,
  type ServeHttpOptions,
  type ServeHttpPathOptions,
} from "./http/serve_http.ts";
export type {
  HttpHandler,
  HttpServer,
  ShutdownReport,
} from "./http/http_server.ts";
export { ClientDeadline } from "./client_deadline.ts";
export { ClientGone } from "./client_gone.ts";
export { localAddrKey, remoteAddrKey } from "./addr_keys.ts";
export { httpServerKey, requestContext } from "./http/request_context.ts";
export {
  type HealthCheck,
  healthRoutes,
  type HealthRoutesOptions,
} from "./http/health_routes.ts";
export { upgradeWebSocket } from "./http/web_socket.ts";
export {
  serveUdp,
  type ServeUdpOptions,
  type ServeUdpPathOptions,
  type UdpServer,
} from "./udp/serve_udp.ts";
export {
  type DatagramHandler,
  udpRead,
  type UdpReadOptions,
} from "./udp/udp_read.ts";
export {
  type PeerHandler,
  type UdpPeer,
  udpPeers,
  type UdpPeersOptions,
  type UdpPeersServer,
  type UdpPeersStats,
} from "./udp/udp_peers.ts";
export {
  serveTcp,
  type ServeTcpOptions,
  type ServeTcpPathOptions,
  type TcpHandler,
  type TcpOptions,
  type TcpServer,
  type TcpStats,
} from "./tcp/serve_tcp.ts";
export {
  dialTcp,
  type DialTcpOptions,
  type DialTlsOptions,
} from "./tcp/dial_tcp.ts";
export { IdleTimeout } from "./idle_timer.ts";
export type { Datagram } from "./udp/datagram.ts";
export type { ListenUdpOptions } from "./udp/listen_udp.ts";
export type { ListenUnixOptions } from "./unix_socket.ts";
export type { MulticastGroup } from "./udp/multicast.ts";
export type { UdpSocketOptions } from "./udp/udp_socket.ts";
export type { UdpStats } from "./udp/udp_stats.ts";
