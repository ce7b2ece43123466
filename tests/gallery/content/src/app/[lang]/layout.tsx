import localFont from "next/font/local";
import type { ReactNode } from "react";
import "./styles.css";

const inter = localFont({
  src: "../../../node_modules/@fontsource-variable/inter/files/inter-latin-wght-normal.woff2",
});

export const generateStaticParams = () => [{ lang: "en" }, { lang: "de" }];

export default async function Layout({ children, params }: { children: ReactNode; params: Promise<{ lang: string }> }) {
  return (
    <div lang={(await params).lang} className={inter.className}>
      {children}
    </div>
  );
}
