// HOSTNAME=:: means every address: by IPv6 too, where the kernel has it.
const BOTH = "::";
const IPV4 = "0.0.0.0";

/**
 * Next.js and the application go on as with 0.0.0.0: Next.js asks itself by http://localhost, and a client that came by
 * IPv4 is told by its plain address.
 *
 * @param {import("node:http").Server} server
 */
export function listenEverywhere(server) {
  if (process.env.HOSTNAME !== BOTH) return;
  process.env.HOSTNAME = IPV4;
  const listen = server.listen.bind(server);
  const address = server.address.bind(server);
  // Without a host Node.js takes both families, or the one that there is.
  server.listen = (/** @type {any} */ port) => listen(port);
  server.address = () => {
    const bound = address();
    return bound && typeof bound === "object" ? { ...bound, address: IPV4, family: "IPv4" } : bound;
  };
  server.on("connection", (socket) => {
    const { remoteAddress } = socket;
    if (!remoteAddress?.startsWith("::ffff:")) return;
    Object.defineProperty(socket, "remoteAddress", { value: remoteAddress.slice("::ffff:".length) });
  });
}
