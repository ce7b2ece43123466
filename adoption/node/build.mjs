// Builds a Next.js application whose files stay as they are, with what a container needs said from outside, and packs
// into /out what its image takes: packages/ for /app/node_modules, app/ for all the rest of /app.
import * as fs from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, relative, resolve } from "node:path";
import { app, build, inventory, read, refuse, root, TOP } from "./workspace.mjs";

/** What a container wants otherwise where the application leaves what Next.js has by itself. */
function contained(config) {
  const { experimental = {} } = config;
  // What is made anew while serving stays in memory, for the root is read-only: within 8 MiB in place of 50.
  for (const [at, key] of [
    [config, "cacheMaxMemorySize"],
    [experimental, "isrMemoryCacheSize"],
  ])
    if (at[key] === 50 * 1024 * 1024) at[key] = 8 * 1024 * 1024;
  // Resized images are kept by the same switch, in /tmp.
  if (config.images?.unoptimized && "isrFlushToDisk" in experimental) experimental.isrFlushToDisk = false;
  if (experimental.preloadEntriesOnStart) experimental.preloadEntriesOnStart = false;
  return config;
}

// `output: "standalone"` where the configuration does not say another, with files from the top of the workspace on.
build({ NEXT_PRIVATE_STANDALONE: "true", NEXT_PRIVATE_OUTPUT_TRACE_ROOT: root }, [
  "npm",
  "exec",
  "--",
  "next",
  "build",
]);

// `distDir` may be any; its own list of files says which application it is of.
const LIST = "required-server-files.json";
const lists = fs.existsSync(join(".next", LIST))
  ? [join(app, ".next", LIST)]
  : fs
      .readdirSync(TOP, { recursive: true })
      .filter((path) => basename(path) === LIST)
      .map((path) => join(TOP, path));
const list = lists.find((path) => !path.includes("/standalone/") && read(path).appDir === app);
if (!list)
  refuse(
    `the build left no ${LIST}: it was no \`next build\` of ${app}; name the right command as \`build\``,
  );
const { config, relativeAppDir } = read(list);
const dist = dirname(list);
const standalone = join(dist, "standalone");
if (config.output === "export")
  refuse(
    'output: "export" makes a static site, which runs no Node.js: serve its folder by any web server, or take that line away',
  );
// Older ones say nothing of the folder.
if (relativeAppDir === undefined || !fs.existsSync(join(standalone, relativeAppDir, "server.js")))
  refuse("Next.js made no standalone server: it takes Next.js 13.4 or newer");

const { resolve: located } = createRequire(join(app, "package.json"));
function installed(name) {
  try {
    return located(name);
  } catch {
    return "";
  }
}
const resizes = config.images?.loader === "default" && !config.images.unoptimized;
// From version 15 on Next.js brings it along; a standalone server has nothing else to resize by.
if (resizes && Number.parseInt(read(installed("next/package.json")).version, 10) < 15 && !installed("sharp"))
  console.log("build: next/image answers 500 until sharp is among the dependencies: `npm install sharp`");

// What `standalone` is the copy of may lie above or below /app.
const traced = resolve(app, relative(relativeAppDir, "."));
const below = relative(TOP, traced);
const above = below.startsWith("..");
const out = "/out/app";
fs.mkdirSync(dirname(join(out, above ? "" : below)), { recursive: true });
fs.renameSync(above ? join(standalone, relative(traced, TOP)) : standalone, join(out, above ? "" : below));
fs.mkdirSync("/out/packages", { recursive: true });
if (fs.existsSync(join(out, "node_modules"))) {
  fs.rmdirSync("/out/packages");
  fs.renameSync(join(out, "node_modules"), "/out/packages");
}

// Next.js 15 takes along the compiler of a next.config.ts, which a built server never reads; what a page names stays.
const traces = fs
  .readdirSync(join(dist, "server"), { recursive: true })
  .filter((path) => path.endsWith(".nft.json"));
const compiler = /(^|\/)node_modules\/typescript(\/|$)/;
if (!traces.some((path) => read(join(dist, "server", path)).files.some((file) => compiler.test(file))))
  for (const [folder, name] of [
    ["/out/packages", "node_modules/"],
    [out, ""],
  ])
    for (const path of fs.readdirSync(folder, { recursive: true }))
      if (compiler.test(name + path)) fs.rmSync(join(folder, path), { recursive: true, force: true });

const here = join(out, relative(TOP, app));
const built = join(here, relative(app, dist));
fs.mkdirSync("public", { recursive: true });
const copied = [
  ["public", join(here, "public")],
  [import.meta.dirname, join(here, "container")],
  [join(dist, "static"), join(built, "static")],
];
for (const [from, to] of copied) fs.cpSync(from, to, { recursive: true, verbatimSymlinks: true });
fs.rmSync(join(built, "cache"), { recursive: true, force: true });
fs.symlinkSync("/tmp", join(built, "cache"));
if (!fs.existsSync(join(here, ".next"))) fs.symlinkSync(relative(here, built), join(here, ".next"));

const server = join(here, "server.js");
const text = fs.readFileSync(server, "utf8");
const line = /^(const nextConfig = )(\{.*\});?$/m;
if (!line.test(text)) console.log("build: server.js holds no configuration; Next.js's own limits stay");
fs.writeFileSync(
  server,
  text.replace(line, (_, start, json) => start + JSON.stringify(contained(JSON.parse(json)))),
);
const files = read(join(built, LIST));
fs.writeFileSync(join(built, LIST), JSON.stringify({ ...files, config: contained(files.config) }));

inventory("/out/packages/sbom.cdx.json");
