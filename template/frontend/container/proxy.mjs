// Passes what is asked below /api/ on to the backend, before Next.js sees it: one origin serves the browser both.
import { BlockList, isIP } from "node:net";
import { pipeline } from "node:stream";

// Longer than any healthy network needs to connect, short enough for a person waiting.
const CONNECT_MS = 3_000;
// The longest silence before an answer's first line; afterwards silence is its right, for streams may rest.
const SILENCE_MS = 60_000;
// A connection idle longer than this may already be closed at the backend's side.
const KEEP_ALIVE_MS = 4_000;
// Who may say for whom it asks: private addresses and this machine, as in the chart's backend.
const PRIVATE = "127.0.0.0/8,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,fc00::/7";

// Headers that belong to one connection, not to the message (RFC 9110, 7.6.1).
const HOP_BY_HOP =
  "connection,keep-alive,proxy-authenticate,proxy-authorization,proxy-connection,te,trailer,transfer-encoding,upgrade";
// An encoded dot segment would leave /api/ behind a server that decodes first.
const DOT_SEGMENT = /(^|\/|%2f|\\|%5c)(\.|%2e){1,2}(\/|%2f|\\|%5c|$)/i;

/** @typedef {import("node:http").IncomingMessage} Request */
/** @typedef {import("node:http").ServerResponse} Response */

/**
 * @param {string | undefined} value FORWARDED_ALLOW_IPS: addresses and networks, or `*`
 * @returns {(address: string) => boolean}
 */
function trusting(value = PRIVATE) {
  if (value.trim() === "*") return () => true;
  const list = new BlockList();
  try {
    for (const entry of value.split(",").map((text) => text.trim())) {
      const [address = "", bits] = entry.split("/");
      const family = isIP(address) === 6 ? "ipv6" : "ipv4";
      if (bits) list.addSubnet(address, Number(bits), family);
      else if (entry) list.addAddress(address, family);
    }
  } catch {
    throw new Error("FORWARDED_ALLOW_IPS is neither `*` nor addresses and networks with commas between them");
  }
  return (address) => isIP(address) > 0 && list.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}

/**
 * @param {Response} response
 * @param {number} status
 * @param {string} title
 * @param {string} detail
 */
function problem(response, status, title, detail) {
  const body = JSON.stringify({ type: "about:blank", title, status, detail });
  const headers = { "content-type": "application/problem+json", "cache-control": "no-store" };
  response.writeHead(status, title, { ...headers, "content-length": Buffer.byteLength(body) }).end(body);
}

/** @param {Request} message */
function hopByHop(message) {
  return new Set(`${HOP_BY_HOP},${message.headers.connection ?? ""}`.toLowerCase().split(/[\s,]+/));
}

/**
 * @param {URL} backend
 * @param {{basePath: string, staticRoutes: {page: string, regex: string}[], dynamicRoutes: {page: string, regex: string}[]}} manifest
 *   Next.js's routes: one of the application's own below /api/ is Next.js's to answer
 * @param {string} [allowed] FORWARDED_ALLOW_IPS
 * @returns {(request: Request, response: Response | undefined, head?: Buffer) => boolean} whether the request was the
 *   backend's; one to switch protocols has no response yet, and `head` came after it
 * @throws {Error} `allowed` cannot be read
 */
export function proxyTo(backend, manifest, allowed) {
  const trusts = trusting(allowed);
  // Not imported: that would load all of fetch.
  const { ServerResponse } = process.getBuiltinModule("node:http");
  const { request: ask, Agent } = process.getBuiltinModule(
    backend.protocol === "https:" ? "node:https" : "node:http",
  );
  const agent = new Agent({ keepAlive: true, timeout: KEEP_ALIVE_MS, maxFreeSockets: 16 });
  const prefix = backend.pathname.replace(/\/+$/, "");
  // URL keeps the brackets of an IPv6 address, a socket wants none.
  const address = { hostname: backend.hostname.replace(/^\[|\]$/g, ""), port: backend.port };
  const { basePath } = manifest;
  const own = [...manifest.staticRoutes, ...manifest.dynamicRoutes]
    .filter((route) => route.page.startsWith("/api/"))
    .map((route) => new RegExp(route.regex));

  /** @param {string} location as the browser may know it: the backend's own address is nobody's business */
  function withoutBackend(location) {
    // With two slashes it names a host and leaves the protocol out.
    const whole = location.startsWith("//") ? backend.protocol + location : location;
    const target = URL.canParse(whole) ? new URL(whole) : undefined;
    let path = location;
    if (target?.host === backend.host) {
      path = target.pathname + target.search + target.hash;
      if (path.startsWith(`${prefix}/`)) path = path.slice(prefix.length);
    }
    return path.startsWith("/api/") ? basePath + path : path;
  }

  /** @param {Request} answer */
  function answered(answer) {
    const dropped = hopByHop(answer);
    /** @type {string[]} */
    const headers = [];
    /** @type {string[]} */
    const length = [];
    for (let i = 0; i < answer.rawHeaders.length; i += 2) {
      const [name = "", value = ""] = answer.rawHeaders.slice(i, i + 2);
      if (dropped.has(name.toLowerCase())) continue;
      if (name.toLowerCase() === "content-length") length.splice(0, 2, name, value);
      else headers.push(name, name.toLowerCase() === "location" ? withoutBackend(value) : value);
    }
    // Last: after it Node.js reads the bytes of a Content-Disposition as UTF-8.
    return [...headers, ...length];
  }

  /** @param {Request} request */
  function asked(request) {
    /** @type {Record<string, string | string[] | undefined>} */
    const headers = { ...request.headersDistinct };
    const peer = request.socket.remoteAddress?.replace(/%.*/, "") ?? "";
    const believed = trusts(peer);
    for (const name of [...hopByHop(request), "expect", "host", "content-length"]) delete headers[name];
    for (const name of Object.keys(headers))
      if (!believed && /^(x-)?forwarded|^x-real-ip$/.test(name)) delete headers[name];
    headers["x-forwarded-for"] = [headers["x-forwarded-for"] ?? [], peer].flat().join(", ");
    headers["x-forwarded-host"] ??= request.headers.host ?? [];
    headers["x-forwarded-proto"] ??= "http";
    // Whatever `Connection` named: where the body ends is never left open. Last, as in an answer.
    headers["content-length"] = request.headers["content-length"] ?? [];
    if (request.headers["transfer-encoding"]) headers["transfer-encoding"] = "chunked";
    return headers;
  }

  /**
   * @param {Request} request
   * @param {Response} response
   * @param {string} path
   * @param {Buffer} [head]
   */
  function pass(request, response, path, head) {
    const { method = "GET", headers } = request;
    const hasBody = "content-length" in headers || "transfer-encoding" in headers;
    const sent = asked(request);
    if (head) Object.assign(sent, { connection: "upgrade", upgrade: headers.upgrade });
    const outgoing = ask({
      ...address,
      path: prefix + path,
      method,
      headers: sent,
      agent,
      timeout: SILENCE_MS,
    });
    /** @param {string} code */
    const end = (code) => outgoing.destroy(Object.assign(new Error(code), { code }));
    const connecting = setTimeout(end, CONNECT_MS, "no connection");
    const connected = () => clearTimeout(connecting);
    outgoing.once("socket", (socket) =>
      socket.connecting ? socket.once("connect", connected) : connected(),
    );
    outgoing.once("timeout", () => end("timeout"));

    let over = false;
    /** @param {{code?: string}} error */
    const failed = ({ code }) => {
      connected();
      if (over) return;
      over = true;
      // The browser went away, or has part of an answer, which pipeline() then breaks off.
      if (response.headersSent || response.destroyed) return;
      const reads = /^(GET|HEAD|OPTIONS)$/.test(method) && !hasBody;
      // The backend closed a kept connection just as it was taken again: what only reads may ask once more.
      if (reads && !head && outgoing.reusedSocket && code === "ECONNRESET")
        return pass(request, response, path);
      // The code only: a message would name the backend's address.
      console.error(`proxy: ${method} ${path.split("?")[0]}: ${code}`);
      if (code === "timeout")
        problem(response, 504, "Gateway Timeout", "The backend did not answer in time.");
      else problem(response, 502, "Bad Gateway", "The backend cannot be reached.");
    };
    outgoing.on("error", failed);
    // An answer that is none, such as 101 to who did not ask for it, ends without another word.
    outgoing.on("close", () => response.headersSent || failed({ code: "no answer" }));
    response.once("close", () => {
      if (over) return;
      outgoing.destroy();
      // What is left of an upload that nobody waits for would hold up the connection.
      request.unpipe(outgoing).resume();
    });
    outgoing.once("response", (answer) => {
      outgoing.setTimeout(0);
      try {
        response.writeHead(answer.statusCode ?? 502, answer.statusMessage, answered(answer));
      } catch {
        // Node.js reads more than it writes, such as a status below 100.
        return void outgoing.destroy();
      }
      // Sent at once, and as the bytes they came as: flushHeaders() would make UTF-8 of them.
      response.write("", "latin1");
      pipeline(answer, response, () => {});
    });
    if (head) {
      outgoing.once("upgrade", (answer, socket, rest) => {
        over = true;
        const browser = request.socket;
        response.detachSocket(browser);
        const lines = answer.rawHeaders.map((text, i) => (i % 2 ? `${text}\r\n` : `${text}: `));
        browser.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join("")}\r\n`, "latin1");
        browser.write(rest);
        socket.write(head);
        for (const one of [browser, socket]) one.setTimeout(0);
        pipeline(browser, socket, () => {});
        pipeline(socket, browser, () => {});
      });
    }
    if (hasBody) request.pipe(outgoing);
    else outgoing.end();
  }

  /** @param {Request} request an answer to it, on its bare connection */
  function onSocket(request) {
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(request.socket);
    response.once("finish", () => request.socket.end());
    request.socket.on("error", () => {});
    return response;
  }

  return (request, given, rest) => {
    // A target may be a whole URL.
    const whole = (request.url ?? "").replace(/^https?:\/\/[^/?#]*/i, "");
    const path = whole.slice(basePath.length);
    const [name = ""] = path.split("?");
    if (!whole.startsWith(`${basePath}/api/`) || own.some((route) => route.test(name))) return false;
    // Another protocol would lead past what is decided here: such an offer is left out, and the request answered.
    const head = /^websocket$/i.test(request.headers.upgrade ?? "") ? rest : undefined;
    const response = given ?? onSocket(request);
    const { "content-length": length, "transfer-encoding": encoding = "chunked" } = request.headers;
    if (DOT_SEGMENT.test(name)) problem(response, 400, "Bad Request", "The path contains a dot segment.");
    else if (rest && request.method !== "GET")
      problem(response, 400, "Bad Request", "Only a GET can ask for another protocol.");
    else if (
      /^(GET|HEAD)$/.test(request.method ?? "") &&
      (Number(length) || "transfer-encoding" in request.headers)
    )
      problem(response, 400, "Bad Request", `A ${request.method} request has no body.`);
    else if (encoding.toLowerCase() !== "chunked")
      problem(response, 501, "Not Implemented", "Of transfer encodings chunked alone is known.");
    else pass(request, response, path, head);
    return true;
  };
}
