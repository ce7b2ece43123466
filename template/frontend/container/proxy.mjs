// Passes what is asked below /api/ on to the backend before Next.js sees it: one origin has both.
import { BlockList, isIP } from "node:net";
import { pipeline } from "node:stream";
import { urlToHttpOptions } from "node:url";
import manifest from "../.next/routes-manifest.json" with { type: "json" };
import { http, send } from "./answers.mjs";
import { die } from "./log.mjs";

const CONNECT_MS = 3_000; // Longer than any healthy network needs, short enough for a person waiting.
const SILENCE_MS = 60_000; // Before an answer's first line; then silence is its right, for streams may rest.
const KEEP_ALIVE_MS = 4_000; // Idle for longer, a connection may already be closed at the backend's side.
// Who may say for whom it asks: private addresses and this machine, as in the chart's backend.
const PRIVATE = "127.0.0.0/8,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,fc00::/7";
// Headers for the next server alone, not for whoever gets the message in the end (RFC 9110, 7.6.1).
const HOP_BY_HOP = "connection,expect,host,keep-alive,proxy-connection,te,trailer,transfer-encoding,upgrade";
const UPGRADE = { connection: "upgrade", upgrade: "websocket" };
// An encoded dot segment would leave /api/ behind a server that decodes first.
const DOT_SEGMENT = /(^|\/|%2f|\\|%5c)(\.|%2e){1,2}(\/|%2f|\\|%5c|$)/i;
const READS = /^(GET|HEAD)$/;

const { API_URL = "", FORWARDED_ALLOW_IPS = PRIVATE } = process.env;
// The URL parser would drop or rewrite silently what does not belong there.
if (!/^https?:\/\/[^\s"'`\\/?#@]+(\/[^\s"'`\\?#]*)?$/i.test(API_URL) || !URL.canParse(API_URL))
  die("API_URL is not set to the backend's plain absolute URL, such as http://backend:8000", 78);
// So that `${process.env.API_URL}/api/…` is right in the application, however it was given.
process.env.API_URL = API_URL.replace(/\/+$/, "");
const backend = new URL(API_URL);
const prefix = backend.pathname.replace(/\/+$/, "");
const { Agent } = process.getBuiltinModule(`node:${backend.protocol.slice(0, -1)}`);
const agent = new Agent({ keepAlive: true, timeout: KEEP_ALIVE_MS, maxFreeSockets: 16 });
export const { basePath, staticRoutes, dynamicRoutes } = manifest;
const routes = [...staticRoutes, ...dynamicRoutes].filter(({ page }) => /^\/api(\/|$)/.test(page));
const own = routes.map(({ regex }) => new RegExp(regex));

const proxies = new BlockList();
try {
  for (const entry of FORWARDED_ALLOW_IPS.replace(/^\s*\*\s*$/, "0.0.0.0/0,::/0").match(/[^\s,]+/g) ?? []) {
    const [address, bits = isIP(address) === 6 ? 128 : 32] = entry.split("/");
    proxies.addSubnet(address, Number(bits || Number.NaN), `ipv${isIP(address)}`);
  }
} catch {
  die("FORWARDED_ALLOW_IPS is neither `*` nor addresses and networks with commas between them", 78);
}

/** The headers of a message that are meant for whoever gets it in the end. */
export function endToEnd({ headers, headersDistinct }) {
  const { "content-length": length, ...kept } = headersDistinct;
  for (const name of `${HOP_BY_HOP},${headers.connection}`.toLowerCase().split(/[\s,]+/)) delete kept[name];
  // Whatever `Connection` names; and last, for after it Node.js would make a Content-Disposition UTF-8.
  return length ? { ...kept, "content-length": length } : kept;
}

/** Asks as http.request()'s `options` say; `failed` hears why there is no answer with a status `below`. */
export function relay(request, response, options, { failed, headersOf = endToEnd, below = 600, head }) {
  const outgoing = http.request({ ...options, method: request.method });
  const connecting = setTimeout(() => outgoing.destroy({ code: "no connection" }), CONNECT_MS);
  const connected = () => clearTimeout(connecting);
  outgoing.on("socket", (socket) => (socket.connecting ? socket.once("connect", connected) : connected()));
  outgoing.on("timeout", () => outgoing.destroy({ code: "ETIMEDOUT" }));
  outgoing.on("error", ({ code }) => {
    connected();
    // The browser may have gone away, or have part of an answer, which pipeline() breaks off.
    if (!response.headersSent && !response.destroyed) failed(code, outgoing.reusedSocket);
  });
  // What is left of an upload that nobody waits for would hold up the connection.
  response.once("close", () => outgoing.destroy() && request.unpipe(outgoing).resume());
  outgoing.on("response", (answer) => {
    if (answer.statusCode >= below) return outgoing.destroy({ code: answer.statusCode });
    outgoing.setTimeout(0);
    try {
      response.writeHead(answer.statusCode, answer.statusMessage, headersOf(answer, options.path));
    } catch (error) {
      return outgoing.destroy(error); // Node.js reads what it does not write, such as a status below 100.
    }
    response.write("", "latin1"); // At once; flushHeaders() would make UTF-8 of the headers' bytes.
    pipeline(answer, response, () => {});
  });
  outgoing.on("upgrade", (answer, socket, rest) => {
    if (!head) return socket.destroy() && failed("an upgrade");
    const browser = request.socket;
    response.writeHead(101, { ...endToEnd(answer), ...UPGRADE }).flushHeaders();
    response.detachSocket(browser);
    browser.write(rest);
    socket.setTimeout(0).write(head);
    pipeline(browser, socket, browser, () => {});
  });
  // Announced, a body cannot be taken for the next request.
  if (request.headers["transfer-encoding"]) outgoing.setHeader("transfer-encoding", "chunked");
  request.pipe(outgoing);
}

function asked(request, head) {
  const headers = endToEnd(request);
  const peer = request.socket.remoteAddress?.replace(/%.*/, "") ?? "";
  const trusted = isIP(peer) > 0 && proxies.check(peer, `ipv${isIP(peer)}`);
  for (const name of Object.keys(headers))
    if (!trusted && /^(x-)?forwarded|^x-real-ip$/.test(name)) delete headers[name];
  headers["x-forwarded-for"] = [headers["x-forwarded-for"] ?? [], peer].flat().join(", ");
  headers["x-forwarded-host"] ??= request.headers.host ?? [];
  headers["x-forwarded-proto"] ??= "http";
  return { ...headers, ...(head && UPGRADE) };
}

/** The answer's headers without the backend's own address, which is nobody's business. */
function told(answer, path) {
  const headers = endToEnd(answer);
  const target = URL.parse(headers.location?.[0] ?? "none:", backend.origin + path);
  if (target?.host !== backend.host) return headers;
  // More slashes than one would name a host.
  const whole = (target.pathname + target.search + target.hash).replace(/^\/+/, "/");
  const inner = whole.startsWith(`${prefix}/`) ? whole.slice(prefix.length) : whole;
  return { ...headers, location: inner.startsWith("/api/") ? basePath + inner : inner };
}

/** An answer to a request to switch protocols, on its bare connection. */
function onSocket(request) {
  const response = Object.assign(new http.ServerResponse(request), { shouldKeepAlive: false });
  response.assignSocket(request.socket.on("error", () => {}));
  return response.once("finish", () => request.socket.end());
}

/** Whether it was the backend's. A request to switch protocols has no response yet, and `head` after it. */
export function proxied(request, given, head) {
  const { method, headers, url } = request;
  const whole = url.replace(/^https?:\/\/[^/?#]*/i, ""); // A target may be a whole URL.
  const path = whole.slice(basePath.length);
  const [name] = path.split("?");
  if (!whole.startsWith(`${basePath}/api/`) || own.some((route) => route.test(name))) return false;
  const response = given ?? onSocket(request);
  const refuse = (status, detail) => send(response, status, { detail });
  const { "content-length": length, "transfer-encoding": encoding } = headers;
  if (DOT_SEGMENT.test(name)) return refuse(400, "The path contains a dot segment.");
  if (head && method !== "GET") return refuse(400, "Only a GET can ask for another protocol.");
  if (READS.test(method) && (Number(length) || encoding)) return refuse(400, `A ${method} has no body.`);
  if (encoding && !/^chunked$/i.test(encoding)) return refuse(501, "Encode the body as chunked alone.");
  const failed = (fault, reused) => {
    // The backend closed a kept connection just as it was taken again: what only reads may ask once more.
    if (reused && fault === "ECONNRESET" && READS.test(method)) return proxied(request, response, head);
    console.error(`proxy: ${method} ${name}: ${fault}`); // A message would name the backend's address.
    refuse(fault === "ETIMEDOUT" ? 504 : 502, "The backend does not answer.");
  };
  const target = { ...urlToHttpOptions(backend), path: prefix + path, headers: asked(request, head) };
  relay(request, response, { ...target, agent, timeout: SILENCE_MS }, { headersOf: told, failed, head });
  return true;
}
