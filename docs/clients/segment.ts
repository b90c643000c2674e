// Types from the API document: npx openapi-typescript URL/api/v1/openapi.json -o api.d.ts; then node segment.js URL SCAN
import { readFile } from "node:fs/promises";
import createClient from "openapi-fetch";
import type { paths } from "./api.js";

const [url = "", scan = ""] = process.argv.slice(2);
const client = createClient<paths, "application/json" | "application/problem+json">({ baseUrl: url });
const bytes = new Uint8Array(await readFile(scan));
const segment = () =>
  client.POST("/api/v1/segment", {
    params: { query: { outputs: "none" } },
    headers: { "Content-Type": "application/octet-stream" },
    body: "", // the document says binary, which its types have as string: the bytes go by the next line
    bodySerializer: () => bytes,
  });

let reply = await segment();
for (let attempt = 1; attempt < 5 && reply.response.status === 503; attempt++) {
  await new Promise((resolve) => setTimeout(resolve, 1000 * Number(reply.response.headers.get("Retry-After") ?? 5)));
  reply = await segment();
}
if (reply.error) throw new Error(`${reply.error.code}: ${reply.error.detail}`);
console.log(reply.data.verdict, reply.data.tumor_pixels);
