// Turns everything the server prints into one JSON line per event: level, time, message.
import { formatWithOptions, stripVTControlCharacters } from "node:util";

/** @typedef {"debug" | "info" | "warn" | "error" | "fatal"} Level */

/**
 * @param {Level} level
 * @param {unknown[]} values
 */
export function log(level, ...values) {
  const error = values.find((value) => value instanceof Error);
  const words = values.map((value) => (value instanceof Error ? value.message : value));
  const message = stripVTControlCharacters(
    formatWithOptions({ breakLength: Infinity, compact: true }, ...words),
  )
    // Next.js opens its lines with a symbol.
    .replace(/^[\s▲○✓⨯⚠»-]+/u, "");
  const line = { level, time: new Date().toISOString(), message: message.trim(), stack: error?.stack };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Sends console, warnings and crashes through `log`. */
export function logEverything() {
  console.log = console.info = (...values) => log("info", ...values);
  console.debug = console.trace = (...values) => log("debug", ...values);
  console.warn = (...values) => log("warn", ...values);
  console.error = (...values) => log("error", ...values);
  process.removeAllListeners("warning");
  process.on("warning", (warning) => log("warn", warning));
  process.on("uncaughtException", (error) => {
    // Once it has started, Next.js has a listener of its own: it logs and goes on serving.
    if (process.listenerCount("uncaughtException") > 1) return;
    log("fatal", error);
    process.exit(1);
  });
}
