import type { NextApiRequest, NextApiResponse } from "next";

export default function hello(request: NextApiRequest, response: NextApiResponse) {
  response.setHeader("X-Made-By", "pages");
  response.status(202).json({ hello: request.body.name, method: request.method });
}
