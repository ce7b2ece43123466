// Run while the image is built: serves a few requests, so that V8's compile cache holds the code they need.
// A server that does not start without its real environment ends no build: it starts without compiled code then.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const LONGEST_MS = 30_000;

// Nothing listens on port 9 here: the page's and the proxy's answers for a backend that is away are code, too.
const env = { ...process.env, API_URL: "http://127.0.0.1:9", HOSTNAME: "127.0.0.1" };
const main = new URL("main.mjs", import.meta.url).pathname;
const server = spawn(process.execPath, [...process.execArgv, main], { env, stdio: "inherit" });
const ended = once(server, "exit");
const tooLong = setTimeout(() => server.kill("SIGKILL"), LONGEST_MS);
const url = `http://127.0.0.1:${process.env.PORT}`;

/**
 * Not by fetch: it would keep its connections, and the server would wait for them before it ends.
 *
 * @param {string} path
 */
const ask = async (path) => {
  const [response] = await once(get(url + path, { agent: false }), "response");
  await once(response.resume(), "end");
  return response.statusCode;
};

try {
  for (;;) {
    try {
      await ask("/health");
      break;
    } catch (error) {
      if (server.exitCode !== null || server.signalCode !== null) throw error;
      // Not listening yet.
      await sleep(20);
    }
  }
  for (const path of ["/api/health", "/robots.txt", "/no-such-page"]) await ask(path);
  const status = await ask("/");
  if (status >= 500) throw new Error(`the home page answered ${status}`);
} catch (error) {
  console.log(`warm: ${error} while the image was built, so some code will be compiled at each start. What the
server said is above; most often it lacks its environment here.`);
}

server.kill("SIGTERM");
await ended;
clearTimeout(tooLong);
