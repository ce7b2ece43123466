// Where Node.js found each module while the image was built, so that a start need not look for them again.
import { readFileSync, writeFileSync } from "node:fs";
import Module from "node:module";

const FILE = new URL(".compile-cache/module-paths.json", import.meta.url);
// Node.js's own record of its look-ups, which it does not document: where it is not there, a start takes longer.
/** @type {Record<string, string> | undefined} */
const record = /** @type {any} */ (Module)._pathCache;

/** Takes over what was found then. */
export function recallModulePaths() {
  try {
    Object.assign(record ?? {}, JSON.parse(readFileSync(FILE, "utf8")));
  } catch {
    // Not made yet.
  }
}

/** Keeps what this process has found, once it ends. */
export function keepModulePaths() {
  process.on("exit", () => writeFileSync(FILE, JSON.stringify(record ?? {})));
}
