// The one way from this server to the backend: API_URL, read at run time and never built into the image.
import http, { type IncomingMessage, type OutgoingHttpHeaders } from "node:http";
import https from "node:https";
import type { Readable } from "node:stream";
import { apiUrlFault } from "../../container/api-url.mjs";
import { away, type Health, readHealth } from "./health";

// Longer than any healthy network needs to connect, short enough for a person waiting.
const CONNECT_MS = 3_000;
// A connection idle longer than this may already be closed at the backend's side.
const KEEP_ALIVE_MS = 4_000;
// More than any health document, far less than the heap.
const MOST_HEALTH_BYTES = 64 * 1024;

const agents = {
  "http:": new http.Agent({ keepAlive: true, timeout: KEEP_ALIVE_MS, maxFreeSockets: 16 }),
  "https:": new https.Agent({ keepAlive: true, timeout: KEEP_ALIVE_MS, maxFreeSockets: 16 }),
};

export class BackendTimeout extends Error {
  override name = "BackendTimeout";
}

export type BackendRequest = {
  method?: string;
  headers?: OutgoingHttpHeaders;
  body?: Readable;
  signal?: AbortSignal;
  /** The longest silence before the answer's first line. */
  timeoutMs?: number;
};

function backendUrl(): URL {
  const fault = apiUrlFault(process.env.API_URL);
  if (fault) throw new Error(fault);
  return new URL(process.env.API_URL as string);
}

/** A redirect's target as the browser may know it: the backend's own address is nobody's business. */
export function withoutBackend(location: string): string {
  const base = backendUrl();
  // With two slashes it names a host and leaves the protocol out.
  const whole = location.startsWith("//") ? base.protocol + location : location;
  const target = URL.canParse(whole) ? new URL(whole) : undefined;
  if (target?.host !== base.host) return location;
  const prefix = base.pathname.replace(/\/+$/, "");
  const path = target.pathname.startsWith(`${prefix}/`)
    ? target.pathname.slice(prefix.length)
    : target.pathname;
  return path + target.search + target.hash;
}

/** Sends a request below API_URL; `path` starts with a slash and is sent as it is. */
export async function askBackend(path: string, request: BackendRequest = {}): Promise<IncomingMessage> {
  const base = backendUrl();
  const protocol = base.protocol as keyof typeof agents;
  const { method = "GET", body, signal, timeoutMs = 60_000 } = request;
  const headers = { ...request.headers };
  // A length without a body would make the backend wait, and take the next request for it.
  if (!body) delete headers["content-length"];

  return new Promise((resolve, reject) => {
    const outgoing = (protocol === "https:" ? https : http).request({
      protocol,
      // URL keeps the brackets of an IPv6 address, a socket wants none.
      hostname: base.hostname.replace(/^\[|\]$/g, ""),
      port: base.port,
      path: base.pathname.replace(/\/+$/, "") + path,
      agent: agents[protocol],
      method,
      headers,
      signal,
    });
    let connected = false;
    const timedOut = () => {
      const away = Object.assign(new Error("no connection"), { code: "ETIMEDOUT" });
      outgoing.destroy(connected ? new BackendTimeout() : away);
    };
    const connecting = setTimeout(timedOut, Math.min(CONNECT_MS, timeoutMs));
    outgoing.once("socket", (socket) => {
      const connect = () => {
        connected = true;
        clearTimeout(connecting);
      };
      if (socket.connecting) socket.once("connect", connect);
      else connect();
    });
    outgoing.setTimeout(timeoutMs, timedOut);
    outgoing.once("error", (error: NodeJS.ErrnoException) => {
      clearTimeout(connecting);
      // The backend closed a kept connection just as it was taken again: what only reads may ask once more.
      const again =
        outgoing.reusedSocket && error.code === "ECONNRESET" && /^(GET|HEAD|OPTIONS)$/.test(method);
      if (again && !body) resolve(askBackend(path, request));
      else reject(error);
    });
    // An answer that is none, such as 101 Switching Protocols, ends without another word.
    outgoing.once("close", () => {
      clearTimeout(connecting);
      reject(Object.assign(new Error("no answer"), { code: "ECONNRESET" }));
    });
    outgoing.once("response", (response) => {
      // From here on silence is the backend's right: streams may rest.
      outgoing.setTimeout(0);
      resolve(response);
    });
    if (body) body.on("error", (error) => outgoing.destroy(error)).pipe(outgoing);
    else outgoing.end();
  });
}

async function bounded(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    // Leaving the loop closes the connection.
    if (size > MOST_HEALTH_BYTES) throw new Error("too long for a health document");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** The backend's health for the first view of a page; never throws, for a page must show that it is away. */
export async function backendHealth(): Promise<Health> {
  try {
    const response = await askBackend("/api/health", {
      headers: { accept: "application/health+json" },
      signal: AbortSignal.timeout(1_500),
    });
    return readHealth(response.statusCode ?? 0, JSON.parse(await bounded(response)));
  } catch {
    return away();
  }
}
