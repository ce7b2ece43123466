import { type NextRequest, NextResponse } from "next/server";

// Whoever names no language gets the browser's.
export function proxy(request: NextRequest) {
  const german = request.headers.get("accept-language")?.startsWith("de");
  const url = request.nextUrl.clone();
  url.pathname = `/${german ? "de" : "en"}${url.pathname}`;
  return NextResponse.redirect(url);
}

export const config = { matcher: "/posts/:path*" };
