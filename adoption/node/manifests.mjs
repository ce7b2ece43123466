// Copies what an installation reads, and nothing else, so that its layer stays as it is while sources change: the
// manifests of all workspaces, the lock file, settings and patches. The lock file decides who installs, in which version.
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";

const [, , lock, target] = process.argv;
const FILES =
  /^(package|package-lock|npm-shrinkwrap)\.json$|^pnpm-(lock|workspace)\.yaml$|^yarn\.lock$|^bun\.lockb?$|^bunfig\.toml$|^\.(npmrc|yarnrc|yarnrc\.yml|pnpmfile\.c?js)$|^install\.mjs$|\.(tgz|patch|prisma)$/;
const FOLDERS = /(^|\/)(patches|\.yarn\/(patches|plugins|cache))\//;
const LOCK = /^((package-lock|npm-shrinkwrap)\.json|pnpm-lock\.yaml|yarn\.lock|bun\.lockb?)$/;
// Scripts of an installation that need no file of the application besides those.
const HARMLESS =
  /^(npx |pnpm exec )?(husky( install)?|patch-package|simple-git-hooks|lefthook install|prisma generate|only-allow \w+|is-ci)$/;
const HOOKS = ["preinstall", "install", "postinstall", "preprepare", "prepare", "postprepare"];
// Whose lock file it is where package.json names no `packageManager`: a newer one would want to write it anew.
const WRITERS = [
  [/^lockfileVersion: '?5/m, "pnpm@7"],
  [/^lockfileVersion: '?6/m, "pnpm@8"],
  [/^lockfileVersion:/m, "pnpm@10"],
  [/^__metadata:\n +version: [1-6]$/m, "yarn@3"],
  [/^__metadata:/m, "yarn@4"],
  [/^# yarn lockfile v1/m, "yarn@1.x"],
  [/^{\s*"lockfileVersion": \d|bun-lockfile-format/, "bun@1.x"],
];

function* walk(folder = "") {
  for (const entry of readdirSync(folder || ".", { withFileTypes: true })) {
    if (/^(node_modules|\.git)$/.test(entry.name)) continue;
    if (entry.isDirectory()) yield* walk(`${folder}${entry.name}/`);
    else yield folder + entry.name;
  }
}

/** Whether an installation runs or takes what only the application's other files have. */
function needsSources({ scripts = {}, dependencies, devDependencies }) {
  const run = HOOKS.flatMap((hook) => scripts[hook]?.split(/\s*(?:&&|\|\||;)\s*/) ?? []);
  const taken = Object.values({ ...dependencies, ...devDependencies });
  return (
    run.some((words) => words && !HARMLESS.test(words) && !/^(true|exit 0)$/.test(words)) ||
    taken.some((from) => /^(file|portal):(?!.*\.tgz$)/.test(from))
  );
}

if (!lock || !existsSync(lock) || !LOCK.test(basename(lock))) {
  const other = lock && existsSync(lock) ? `${lock} is of another package manager` : "there is no lock file";
  console.error(`install: ${other}: run \`npm install --package-lock-only\` and commit package-lock.json`);
  process.exit(1);
}
const read = (path) => readFileSync(path, "utf8");
function parsed(path) {
  try {
    return JSON.parse(read(path).replace(/^\uFEFF/, ""));
  } catch {
    return {}; // A test's, say; of the application's own one the installation tells.
  }
}
const files = [...walk()];
const manifests = files.filter((path) => basename(path) === "package.json").map(parsed);
const all = manifests.some(needsSources);
// Of several lock files in one folder the other ones are left behind.
const others = (path) => dirname(path) === dirname(lock) && LOCK.test(basename(path)) && path !== lock;
for (const path of files)
  if (!others(path) && (all || FILES.test(basename(path)) || FOLDERS.test(path)))
    cpSync(path, join(target, path), { verbatimSymlinks: true });

const manifest = join(dirname(lock), "package.json");
const settings = join(dirname(lock), ".yarnrc.yml");
const about = parsed(manifest);
const [, carried] = (existsSync(settings) && /^yarnPath:.*yarn-([\d.]+)\.cjs/m.exec(read(settings))) || [];
const text = basename(lock).endsWith(".json") ? "" : read(lock);
const bun = basename(lock).startsWith("bun.");
if (!bun && about.packageManager?.startsWith("bun@")) delete about.packageManager; // Another one's lock file lies beside bun's.
about.packageManager ??= carried && !bun ? `yarn@${carried}` : WRITERS.find(([form]) => form.test(text))?.[1];
writeFileSync(join(target, manifest), JSON.stringify(about, null, 2));
// For the build, which sees package.json as it is.
writeFileSync(join(target, relative(".", import.meta.dirname), "manager"), about.packageManager ?? "npm");
