import type { NextApiRequest, NextApiResponse } from "next";

export default function index(_request: NextApiRequest, response: NextApiResponse) {
  response.json({ hello: "index" });
}
