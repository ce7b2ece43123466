import type { NextConfig } from "next";

export default (phase: string): NextConfig => ({
  poweredByHeader: false,
  env: { PHASE: phase },
});
