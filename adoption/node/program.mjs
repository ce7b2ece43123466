// Builds a program that is no Next.js application, a worker or a cron job, and leaves it with what it runs by: its
// packages without those of its development in node_modules, all the rest in /out/app.
import { cpSync, existsSync } from "node:fs";
import { join } from "node:path";
import { build, inventory, manager, root, run, TOP } from "./workspace.mjs";

build({});
// What is installed stays as it was built; a workspace of pnpm or yarn keeps all, as they take away too much or too little.
const prune = {
  npm: ["npm", "prune", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"],
  pnpm: !existsSync(join(root, "pnpm-workspace.yaml")) && ["pnpm", "prune", "--prod", "--ignore-scripts"],
}[manager];
if (prune) run(root, { CI: "true" }, ...prune);
inventory(join(TOP, "node_modules/sbom.cdx.json"));
const stays = /^\/app\/(node_modules|\.npmrc|\.yarnrc(\.yml)?|\.yarn)$/;
cpSync(TOP, "/out/app", { recursive: true, verbatimSymlinks: true, filter: (path) => !stays.test(path) });
