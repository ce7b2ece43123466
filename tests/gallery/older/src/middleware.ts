import { NextResponse } from "next/server";

export const middleware = () => NextResponse.next({ headers: { "X-Passed": "middleware" } });

export const config = { matcher: "/hello" };
