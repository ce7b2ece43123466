export const runtime = "edge";

export const GET = () => new Response(typeof EdgeRuntime);

declare const EdgeRuntime: string;
