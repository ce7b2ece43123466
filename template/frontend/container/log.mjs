// Turns everything the server prints, warns of or crashes by into one JSON line: level, time, message.
import { formatWithOptions, inspect, stripVTControlCharacters } from "node:util";

export function log(level, ...values) {
  const error = values.find((value) => value instanceof Error);
  // With its causes, and what else it carries, such as the digest that a browser shows in its place.
  const stack = error && inspect(error);
  const words = values.map((value) => (value instanceof Error ? value.message : value));
  const text = formatWithOptions({ breakLength: Infinity, compact: true }, ...words);
  // Next.js opens its lines with a symbol and a space, and sets some apart by empty ones.
  const message = stripVTControlCharacters(text).replace(/^\s*([▲○✓⨯⚠»]\s+)?|\s+$/gu, "");
  const line = JSON.stringify({ level, time: new Date().toISOString(), message, stack });
  if (message) process.stdout.write(`${line}\n`);
}

export function die(fault, code = 1) {
  log("fatal", fault);
  process.exit(code);
}

const LEVELS = { log: "info", info: "info", debug: "debug", warn: "warn", error: "error" };
for (const [name, level] of Object.entries(LEVELS)) console[name] = (...values) => log(level, ...values);
console.trace = (...values) => log("debug", ...values, new Error("trace"));
console.dir = (value, options) => log("info", inspect(value, options));
process.removeAllListeners("warning").on("warning", (warning) => log("warn", warning));
// Once it has started, Next.js has a listener of its own: it logs and goes on serving.
process.on("uncaughtException", (error) => process.listenerCount("uncaughtException") > 1 || die(error));
