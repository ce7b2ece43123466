// A frontend in one file, in order unless FAULT names what it does wrong.
const http = require("node:http");
const net = require("node:net");

const FAULT = process.env.FAULT ?? "";
const API_URL = process.env.API_URL;
let leaving = false;
process.on("SIGTERM", () => {
  leaving = true;
  setTimeout(() => process.exit(0), 1000);
});
if (!/^https?:\/\//.test(API_URL ?? "")) {
  console.error("API_URL is missing or no http URL");
  process.exit(78);
}

const ask = (path, base = API_URL) =>
  new Promise((resolve, reject) => {
    const request = http.get(base + path, { timeout: 2000 }, (response) => {
      let body = "";
      response.on("data", (part) => { body += part; });
      response.on("end", () => resolve({ status: response.statusCode, body }));
    });
    request.on("timeout", () => request.destroy(new Error("timeout"))).on("error", reject);
  });

const knock = () =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(API_URL);
    const socket = net.connect({ host: hostname, port, timeout: 2000 }, () => resolve(socket.destroy()));
    socket.on("timeout", () => socket.destroy(new Error("timeout"))).on("error", reject);
  });

const BASE = process.env.BASE_PATH ?? "";
const SCRIPT = `<script src="${BASE}/assets/app.js?v=1"></script>`;

async function page() {
  const tag = FAULT === "no-html" ? "text" : "html";
  try {
    await (FAULT === "asks-nothing" ? knock() : ask("/api/health"));
    return [200, `<${tag}>${SCRIPT}<p>The backend is there.</p></${tag}>`, "text/html"];
  } catch {
    const text = FAULT === "silent-page" ? "Welcome!" : "The backend does not answer.";
    return [200, `<${tag}>${SCRIPT}<p>${text}</p></${tag}>`, "text/html"];
  }
}

const LOGIN = process.env.LOGIN;
const API_LOGIN = process.env.API_LOGIN?.replace("API_URL", API_URL);
const guard = (login) => (/^\d+$/.test(login) ? [Number(login), "", "text/plain"] : [307, "", login]);

async function answer(asked) {
  if (BASE && asked !== "/health" && !asked.startsWith(BASE)) return [404, "", "text/plain"];
  const path = asked === BASE ? "/" : asked === "/health" ? asked : asked.slice(BASE.length);
  if (LOGIN && path === "/") return guard(LOGIN);
  if (API_LOGIN && path === "/api/health") return guard(API_LOGIN);
  if (path === "/assets/app.js?v=1" && FAULT !== "no-assets") return [200, "1;", "text/javascript"];
  if (path === "/en") return page();
  if (path === "/login") return [200, "<html><form></form></html>", "text/html"];
  if (path === "/health") return [200, JSON.stringify({ status: "pass" }), "application/health+json"];
  if (path === "/") return page();
  if (!path.startsWith("/api/")) return [404, "", "text/plain"];
  try {
    const { status, body } = await ask(path, FAULT === "built-in-address" ? "http://backend:8000" : API_URL);
    const changed = FAULT === "rewrites-answers" ? body.replace('"pass"', '"ok"') : body;
    return [status, changed, "application/health+json"];
  } catch {
    return [502, "{}", "application/problem+json"];
  }
}

http
  .createServer({ keepAliveTimeout: 75_000 }, async (request, response) => {
    const plain = process.env.TLS && request.url !== "/health" && request.headers["x-forwarded-proto"] !== "https";
    const [status, body, type] = plain
      ? guard(`https://${request.headers.host}${request.url}`)
      : await answer(request.url);
    if (leaving) response.setHeader("connection", "close");
    if (status === 307) response.setHeader("location", type);
    response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body) });
    response.end(body);
  })
  .listen(3000);
