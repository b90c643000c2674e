// Types by openapi-typescript, calls by openapi-fetch: node typed.js URL SCAN
import { readFile } from "node:fs/promises";
import createClient from "openapi-fetch";
import type { paths } from "./api.js";

const [url = "", scan = ""] = process.argv.slice(2);
const client = createClient<paths, "application/json" | "application/problem+json">({ baseUrl: url });

async function segment(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const { data, error } = await client.POST("/api/v1/segment", {
    params: { query: { threshold: 0.5, outputs: "none" } },
    headers: { "Content-Type": "application/octet-stream" },
    body: "",
    bodySerializer: () => bytes,
  });
  if (error !== undefined) {
    // @ts-expect-error: it is typed, so that this is seen
    const wrong: number = error.code;
    console.log(error.code, error.status satisfies number);
    return;
  }
  // @ts-expect-error
  const wrong: "no_such_verdict" = data.verdict;
  const verdict: "tumor_detected" | "no_tumor_detected" | "not_assessed" = data.verdict;
  console.log(verdict, data.tumor_pixels ?? 0, data.model.version);
}

await segment(new Uint8Array(await readFile(scan)));
await segment(new TextEncoder().encode("GIF89a"));
