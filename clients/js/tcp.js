/**
 * The client's way to a server over TCP, TLS or a Unix socket, for Node.
 *
 *     import { connect } from "groupd-client";
 *     import { dial } from "groupd-client/tcp";
 *     const client = await connect("tcp://127.0.0.1:7400", { token, dial });
 */

import net from "node:net";
import tls from "node:tls";

import { UsageError } from "./lib/errors.js";

/**
 * Opens a socket; see `Ports` in `lib/ports.js`.
 * @param {string} url `tcp://HOST:PORT`, `tls://HOST:PORT` or `unix:///PATH`
 * @param {import("./lib/ports.js").WireHandlers} handlers
 * @returns {import("./lib/ports.js").Wire}
 */
export function dial(url, handlers) {
  const { protocol, hostname, port, pathname } = addressOf(url);
  // An IPv6 address stands in brackets.
  const host = hostname.replace(/^\[|\]$/g, "");
  let socket;
  if (protocol === "tcp:") {
    socket = net.connect({ host, port: Number(port) }, handlers.opened);
  } else if (protocol === "tls:") {
    socket = tls.connect({ host, port: Number(port), servername: host }, handlers.opened);
  } else {
    socket = net.connect({ path: decodeURIComponent(pathname) }, handlers.opened);
  }
  let why = "the server closed the connection";
  socket.setNoDelay(true);
  socket.on("data", handlers.received);
  socket.on("error", (error) => {
    why = error.message;
  });
  socket.on("close", () => handlers.closed(why));
  return {
    send: (data) => void socket.write(data),
    close: () => void socket.destroy(),
  };
}

/**
 * Reads an address; throws UsageError.
 * @param {string} url
 */
function addressOf(url) {
  const address = URL.canParse(url) ? new URL(url) : null;
  const isTcp = address !== null && ["tcp:", "tls:"].includes(address.protocol) && address.port !== "";
  if (address === null || !(isTcp || address.protocol === "unix:")) {
    throw new UsageError(`expected tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH, got ${url}`);
  }
  return address;
}
