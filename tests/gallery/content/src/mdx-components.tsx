import type { MDXComponents } from "mdx/types";

export const useMDXComponents = (): MDXComponents => ({
  strong: ({ children }) => <strong className="underline">{children}</strong>,
});
