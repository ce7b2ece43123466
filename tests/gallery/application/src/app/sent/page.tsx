import { redirect } from "next/navigation";

async function send(form: FormData) {
  "use server";
  const file = form.get("file");
  redirect(`/sent?bytes=${file instanceof File ? file.size : "none"}`);
}

export default function Sent() {
  return (
    <form action={send}>
      <input type="file" name="file" />
    </form>
  );
}
