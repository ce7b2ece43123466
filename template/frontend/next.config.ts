// How Next.js builds and serves this application; environment-specific values belong in API_URL, not here.
import type { NextConfig } from "next";

const config: NextConfig = {
  // A self-contained server with only the files it opens.
  output: "standalone",
  // This folder is the whole application, whatever lock files lie above it.
  outputFileTracingRoot: import.meta.dirname,
  turbopack: { root: import.meta.dirname },
  // Type checking is the lint session's work (npm run typecheck); the image is built without TypeScript.
  typescript: { ignoreBuildErrors: true },
  poweredByHeader: false,
  // A backend may tell /api/items/ from /api/items, so the path is passed on as it came.
  skipTrailingSlashRedirect: true,
  // The switch for resizing images at run time: set to false and take the two sharp lines out below.
  // It adds 19 MB to the image and keeps what it resized in .next/cache, which must then be writable.
  images: { unoptimized: true },
  outputFileTracingExcludes: {
    "**": [
      "node_modules/@img/**",
      "node_modules/sharp/**",
      // Read while building only.
      "node_modules/next/dist/server/capsize-font-metrics.json",
      // Development only.
      "node_modules/next/dist/server/dev/hot-reloader-{rspack,turbopack,webpack}.js",
      // Needed by code that declares the edge runtime; this server runs Node.js.
      "node_modules/next/dist/compiled/{@edge-runtime/primitives,edge-runtime}/**",
      "**/*.{d.ts,map,md}",
    ],
  },
  // The root file system is read-only: what is revalidated stays in memory, and there within bounds.
  cacheMaxMemorySize: 8 * 1024 * 1024,
  experimental: {
    isrFlushToDisk: false,
    // A page is loaded when it is first asked for: a faster start, 5 MiB less while idle.
    preloadEntriesOnStart: false,
  },
};

export default config;
