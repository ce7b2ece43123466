export async function POST(request: Request) {
  const file = (await request.formData()).get("file");
  return Response.json(file instanceof File ? file.size : "no file");
}
