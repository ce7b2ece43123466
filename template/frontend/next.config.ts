// How Next.js builds and serves this application; environment-specific values belong in API_URL, not here.
import type { NextConfig } from "next";

// The switch for resizing images while serving: `unoptimized: false` is Next.js's default, for 19 MB more. What it
// resized is then kept in /tmp, within this many bytes.
const images = { unoptimized: true, maximumDiskCacheSize: 32 * 1024 * 1024 };

// `npm run dev` asks the backend on this machine; in a container API_URL comes from outside.
if (process.env.NODE_ENV === "development") process.env.API_URL ??= "http://127.0.0.1:8000";

// Where on its host the application lies: "/shop", say, or at its root. The chart and taskflow.toml must know it, too.
const basePath = "";

const config: NextConfig = {
  basePath,
  // For what the browser itself asks below /api/; links and pages have it from Next.js.
  env: { BASE_PATH: basePath },
  // A self-contained server with only the files it opens, from this folder, whatever lock files lie above it.
  output: "standalone",
  outputFileTracingRoot: import.meta.dirname,
  turbopack: { root: import.meta.dirname },
  poweredByHeader: false,
  // Both for `next dev` alone: in the image container/proxy.mjs passes on what no route of /api/ is there for, and the
  // path as it came, for a backend may tell /api/items/ from /api/items.
  skipTrailingSlashRedirect: process.env.NODE_ENV === "development",
  rewrites: async () => ({
    fallback:
      process.env.NODE_ENV === "development"
        ? ["/api/:path*/", "/api/:path*"].map((source) => ({
            source,
            destination: process.env.API_URL + source,
          }))
        : [],
  }),
  images,
  outputFileTracingExcludes: {
    // Of Next.js's own server alone, what it asks for to resize images, to build or to develop; what a route imports
    // is found by its own trace.
    "next-server": [
      ...(images.unoptimized ? ["**/node_modules/@img/**", "**/node_modules/sharp/**"] : []),
      "**/node_modules/typescript/**",
      "**/node_modules/next/dist/server/capsize-font-metrics.json",
      "**/node_modules/next/dist/server/dev/hot-reloader-{rspack,turbopack,webpack}.js",
    ],
  },
  // The root file system is read-only: what is revalidated stays in memory, and there within bounds.
  cacheMaxMemorySize: 8 * 1024 * 1024,
  experimental: {
    // Resized images are kept by this switch, too; of a revalidated page a line then says that it cannot be written.
    isrFlushToDisk: !images.unoptimized,
    // A page is loaded when it is first asked for: a faster start, 5 MiB less while idle.
    preloadEntriesOnStart: false,
  },
};

export default config;
