// probe.py for images that have Node in place of Python; the same commands, the same answers.
const dns = require("node:dns/promises");
const http = require("node:http");
const net = require("node:net");

const CONNECT_MS = 2_000;
const ANSWER_MS = 10_000; // slow is not failed
const CONNECTIONS = 10; // kept alive, used in turn
const PAUSE_MS = 100; // between two visits of a page
const SLOW_SECONDS = 1; // a middle answer later than this halves the rate
const LEAST = 25; // requests per second, however slow the answers
const NAMED = /(?:src|href)=["']([^"']+\.(?:m?js|css)(?:\?[^"']*)?)["']/g;

const idle = () => setInterval(() => {}, 2 ** 30);

// Holds so many bytes outside of V8's heap, a megabyte at a time.
function leak(size) {
  const held = [];
  const timer = setInterval(() => {
    if (held.length * 1e6 < Number(size)) held.push(Buffer.alloc(1e6, 1));
    else clearInterval(timer);
  }, 2);
  idle();
}

// The status that a URL is answered with, and the body; rejects when it is not answered in full and in time.
function ask(url, agent) {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (part) => {
        body += part;
      });
      response.on("end", () => resolve([response.statusCode, request.reusedSocket, body]));
      response.on("error", reject);
    });
    const timer = setTimeout(() => request.destroy(Object.assign(new Error(), { code: "Timeout" })), ANSWER_MS);
    request.on("close", () => clearTimeout(timer));
    request.on("error", (error) => reject(Object.assign(error, { reused: request.reusedSocket })));
  });
}

const get = (url) => ask(url, false).then(([status]) => status, (error) => error.code);

// Whether a TCP connection comes about.
const connect = (target) =>
  new Promise((resolve) => {
    const [, host, port] = /^(.*):(\d+)$/.exec(target);
    const socket = net.connect({ host, port, timeout: CONNECT_MS });
    const end = (answer) => () => resolve(answer) ?? socket.destroy();
    socket.on("connect", end(true)).on("timeout", end(false)).on("error", end(false));
  });

// The scripts and styles of a page that are on its own server.
function named(page, body) {
  const urls = [...body.matchAll(NAMED)].map(([, found]) => new URL(found.replaceAll("&amp;", "&"), page));
  return new Set(urls.filter((url) => url.host === new URL(page).host).map(String));
}

// Requests at a constant rate, however long a single answer takes; every second one on a connection that is
// kept alive, the others each on a new one. Nothing is tried twice. Where the middle one of a second's answers is slow,
// all are, and the rate is halved. Besides, a visitor loads a page with all its scripts and styles, each on a new one.
// Ends with standard input.
async function load(rate, page, ...given) {
  // Looked up once: what is measured is the release, not the cluster's name server.
  const resolve = async (text) => {
    const url = new URL(text);
    const { address, family } = await dns.lookup(url.hostname);
    url.hostname = family === 6 ? `[${address}]` : address;
    return url.href;
  };
  const urls = await Promise.all(given.map(resolve));
  const agent = new http.Agent({ keepAlive: true, scheduling: "fifo", maxFreeSockets: CONNECTIONS });
  await Promise.all(Array.from({ length: CONNECTIONS }, () => ask(urls[0], agent).catch(() => {})));
  const failed = {};
  const [first, latencies, pending] = [[], [], new Set()];
  let [sent, visits, reused, gap, stopped] = [0, 0, 0, 0, false];
  const started = performance.now();
  let answered = started;
  const noteGap = () => {
    const now = performance.now();
    gap = Math.max(gap, now - answered);
    answered = now;
  };
  process.stdin.resume().on("end", () => {
    stopped = true;
  });
  console.log(JSON.stringify({ started: true }));
  const note = (name, at, error, path) => {
    failed[name] = (failed[name] ?? 0) + 1;
    if (first.length < 5) first.push([(at - started) / 1000, error, path]);
  };
  // A page that is none fails nothing: a server may have only an API, or ask for a login.
  const visit = async () => {
    while (!stopped) {
      let began = performance.now();
      const fetched = (url) => ask(url, false).catch((error) => [error.code ?? error.name, false, ""]);
      const [status, , body] = await fetched(page);
      if (!(status < 500)) note("page not loaded", began, `${status}`, new URL(page).pathname);
      for (const url of status === 200 ? named(page, body) : []) {
        began = performance.now();
        const [found] = await fetched(url);
        if (found !== 200) note("script or style missing", began, `${found}`, new URL(url).pathname);
      }
      visits++;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  };
  const visitor = visit();
  const request = async (number, due) => {
    const [keep, url] = [number % 2 === 0, urls[(number >> 1) % urls.length]];
    let [error, kind] = ["", "new"];
    try {
      const [status, again] = await ask(url, keep ? agent : false);
      if (again) kind = "kept";
      if (status !== 200) error = `status ${status}`;
    } catch (problem) {
      if (problem.reused) kind = "kept";
      error = problem.code ?? problem.name;
    }
    reused += kind === "kept";
    if (error) {
      note(`${error} (${kind} connection)`, due, error, new URL(url).pathname);
    } else {
      latencies.push((performance.now() - due) / 1000);
      noteGap();
    }
  };
  let [due, judged, known, perSecond] = [started, started, 0, Number(rate)];
  while (!stopped) {
    const wait = due - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    const task = request(sent++, due).finally(() => pending.delete(task));
    pending.add(task);
    due += 1000 / perSecond;
    if (performance.now() > judged + 1000) {
      // Those that never came say nothing.
      const recent = latencies.slice(known).sort((a, b) => a - b);
      known = latencies.length;
      judged = performance.now();
      if (recent[recent.length >> 1] > SLOW_SECONDS) perSecond = Math.max(LEAST, perSecond / 2);
    }
  }
  const seconds = (performance.now() - started) / 1000;
  await Promise.all([visitor, ...pending]);
  noteGap();
  agent.destroy();
  latencies.sort((a, b) => a - b);
  const at = (share) => latencies[Math.floor(latencies.length * share)] ?? 0;
  return {
    ...{ sent, visits, seconds, reused, gap: gap / 1000, failed, first },
    ...{ p50: at(0.5), p99: at(0.99), max: latencies.at(-1) ?? 0 },
  };
}

async function main(command, ...given) {
  process.on("SIGTERM", () => process.exit()); // process 1 would be deaf to it
  if (command === "idle" || command === "leak") return command === "idle" ? idle() : leak(...given);
  if (command === "load") return console.log(JSON.stringify(await load(...given)));
  const found = await Promise.all(given.map({ get, connect }[command]));
  console.log(JSON.stringify(Object.fromEntries(given.map((name, index) => [name, found[index]]))));
}
main(...process.argv.slice(1));
