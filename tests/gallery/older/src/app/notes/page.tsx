import { redirect } from "next/navigation";

async function add(form: FormData) {
  "use server";
  redirect(`/notes?text=${form.get("text")}`);
}

export default function Notes() {
  return (
    <form action={add}>
      <input name="text" />
    </form>
  );
}
