// The frame of every page: document, title, global style.
import type { Metadata } from "next";
import type { ReactNode } from "react";
import site from "@/site.json";
import "./globals.css";

export const metadata: Metadata = { title: site.title, description: site.description };

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  );
}
