import { cookies } from "next/headers";
import { redirect } from "next/navigation";
import { after } from "next/server";

export default async function Notes() {
  const name = (await cookies()).get("name")?.value ?? "nobody";
  // What a form's action closes over travels to the browser and back, encrypted.
  const secret = `of ${name}`;
  async function add(form: FormData) {
    "use server";
    const text = String(form.get("text"));
    (await cookies()).set("last", `${text} ${secret}`);
    after(() => console.log(`a note of ${text.length} letters`));
    redirect("/notes");
  }
  return (
    <form action={add}>
      <h1>Notes of {name}</h1>
      <input name="text" />
    </form>
  );
}
