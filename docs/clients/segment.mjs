// node segment.mjs URL SCAN (Node 18 or newer; in a browser the body is the File)
import { readFile } from "node:fs/promises";

const [url, scan] = process.argv.slice(2);
const body = await readFile(scan);
let answer;
for (let attempt = 0; attempt < 5; attempt++) {
  answer = await fetch(`${url}/api/v1/segment?outputs=none`, { method: "POST", body });
  if (answer.status !== 503) break;
  await new Promise((resolve) => setTimeout(resolve, 1000 * Number(answer.headers.get("Retry-After") ?? 5)));
}
const found = await answer.json();
if (!answer.ok) throw new Error(`${found.code}: ${found.detail}`);
console.log(found.verdict, found.tumor_pixels);
