import type { NextApiRequest, NextApiResponse } from "next";

export default async function renew(_request: NextApiRequest, response: NextApiResponse) {
  await response.revalidate("/old/kept");
  response.json({ renewed: true });
}
