// Passes the browser's /api/... requests on to the backend, so that one origin serves both.
import type { IncomingMessage } from "node:http";
import { pipeline, Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import { createBrotliDecompress, createUnzip } from "node:zlib";
import { askBackend, BackendTimeout, withoutBackend } from "@/lib/backend";
import { SENT_URL } from "../../../../container/requests.mjs";

export const dynamic = "force-dynamic";

// Headers that belong to one connection, not to the message (RFC 9110, 7.6.1).
const HOP_BY_HOP = [
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

/** A request target's path, and its query with the question mark. */
function split(target: string): [string, string] {
  const mark = target.indexOf("?");
  return mark < 0 ? [target, ""] : [target.slice(0, mark), target.slice(mark)];
}

function problem(status: number, title: string, detail: string): Response {
  return Response.json(
    { type: "about:blank", title, status, detail },
    { status, headers: { "content-type": "application/problem+json", "cache-control": "no-store" } },
  );
}

function withoutHopByHop(headers: Headers): Headers {
  const named = (headers.get("connection") ?? "").split(",").map((name) => name.trim().toLowerCase());
  for (const name of [...HOP_BY_HOP, ...named]) {
    // What is no header's name cannot be deleted.
    if (/^[\w!#$%&'*+.^`|~-]+$/.test(name)) headers.delete(name);
  }
  return headers;
}

// For a backend that encodes although it was asked not to.
function decoded(answer: IncomingMessage): Readable {
  const encoding = answer.headers["content-encoding"] ?? "identity";
  const decoder =
    encoding === "br"
      ? createBrotliDecompress()
      : /^(gzip|x-gzip|deflate)$/.test(encoding)
        ? createUnzip()
        : null;
  return decoder ? pipeline(answer, decoder, () => {}) : answer;
}

async function proxy(request: Request): Promise<Response> {
  const { pathname: readPath, search: readSearch, host, protocol } = new URL(request.url);
  // Next.js reads a query and writes it anew; a signed one must arrive as it was sent.
  const sent = request.headers.get(SENT_URL);
  const [pathname, search] = sent?.startsWith("/api/") ? split(sent) : [readPath, readSearch];
  // An encoded dot segment would leave /api/ behind a server that decodes first.
  if (/(^|\/|%2f|\\|%5c)(\.|%2e){1,2}(\/|%2f|\\|%5c|$)/i.test(pathname)) {
    return problem(400, "Bad Request", "The path contains a dot segment.");
  }

  // Of a GET's body there is nothing here, and its length alone would take the next request for it.
  if (!request.body && /[1-9]/.test(request.headers.get("content-length") ?? "")) {
    return problem(400, "Bad Request", `A ${request.method} request has no body.`);
  }

  const headers = withoutHopByHop(new Headers(request.headers));
  headers.delete("expect");
  headers.delete(SENT_URL);
  if (!headers.has("x-forwarded-host")) headers.set("x-forwarded-host", request.headers.get("host") ?? host);
  if (!headers.has("x-forwarded-proto")) headers.set("x-forwarded-proto", protocol.slice(0, -1));
  headers.delete("host");
  // Next.js sends a route's answer without content-encoding: ask for a plain one.
  headers.set("accept-encoding", "identity");

  try {
    const answer = await askBackend(pathname + search, {
      method: request.method,
      headers: Object.fromEntries(headers),
      body: request.body ? Readable.fromWeb(request.body as ReadableStream) : undefined,
      signal: request.signal,
    });
    const status = answer.statusCode ?? 502;
    const answered = new Headers();
    for (let i = 0; i < answer.rawHeaders.length; i += 2) {
      answered.append(answer.rawHeaders[i] as string, answer.rawHeaders[i + 1] as string);
    }
    const location = answered.get("location");
    if (location) answered.set("location", withoutBackend(location));
    const empty = request.method === "HEAD" || status === 204 || status === 205 || status === 304;
    if (empty) answer.resume();
    return new Response(empty ? null : (Readable.toWeb(decoded(answer)) as BodyInit), {
      status,
      statusText: answer.statusMessage,
      headers: withoutHopByHop(answered),
    });
  } catch (error) {
    const { code, name } = error as NodeJS.ErrnoException;
    // The code only: a message would name the backend's address. Nothing when the browser went away.
    if (!request.signal.aborted) console.error(`proxy: ${request.method} ${pathname}: ${code ?? name}`);
    return error instanceof BackendTimeout
      ? problem(504, "Gateway Timeout", "The backend did not answer in time.")
      : problem(502, "Bad Gateway", "The backend cannot be reached.");
  }
}

export {
  proxy as DELETE,
  proxy as GET,
  proxy as HEAD,
  proxy as OPTIONS,
  proxy as PATCH,
  proxy as POST,
  proxy as PUT,
};
