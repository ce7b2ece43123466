import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import matter from "gray-matter";
import { notFound } from "next/navigation";
import Markdown from "react-markdown";

type Props = { params: Promise<{ lang: string; slug: string }> };

const folder = path.join(process.cwd(), "content");

export async function generateStaticParams() {
  return (await readdir(folder)).map((name) => ({ slug: path.parse(name).name }));
}

async function read(slug: string) {
  try {
    return matter(await readFile(path.join(folder, `${slug}.md`), "utf8"));
  } catch {
    notFound();
  }
}

export async function generateMetadata({ params }: Props) {
  return { title: (await read((await params).slug)).data.title };
}

export default async function Post({ params }: Props) {
  const { lang, slug } = await params;
  const post = await read(slug);
  const { default: words } = await import(`@/dictionaries/${lang}.json`);
  return (
    <article className="underline">
      <Markdown>{post.content}</Markdown>
      <footer>{words.by}</footer>
    </article>
  );
}
