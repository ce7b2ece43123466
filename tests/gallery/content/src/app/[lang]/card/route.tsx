import { ImageResponse } from "next/og";

export const dynamic = "force-dynamic";

// The picture that others show of a page.
export const GET = () => new ImageResponse(<div style={{ fontSize: 32 }}>Hello</div>, { width: 120, height: 60 });
