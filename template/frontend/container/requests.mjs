// What is decided about a request before Next.js sees it.

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/**
 * Refuses what Next.js would answer with an error of its own.
 *
 * @param {import("node:http").IncomingMessage} request
 * @param {import("node:http").ServerResponse} response
 * @returns {boolean} whether the request was answered
 */
export function answerMalformed(request, response) {
  const target = request.url ?? "";
  if (!METHODS.includes(request.method ?? "")) {
    response.writeHead(405, { allow: METHODS.join(", ") }).end();
    return true;
  }
  try {
    if (!/^(\/|https?:)/.test(target)) throw new URIError();
    decodeURIComponent(target.split("?")[0] ?? "");
  } catch {
    response.writeHead(400, { "content-type": "text/plain" }).end("The path is malformed.\n");
    return true;
  }
  return false;
}
