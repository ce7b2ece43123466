export const GET = () => Response.json({ hello: "older" });
