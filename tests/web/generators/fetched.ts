// The client that openapi-generator makes for typescript-fetch: node fetched.js URL SCAN
import { readFile } from "node:fs/promises";
import { Configuration, ProblemFromJSON, ResponseError, ScansApi } from "./fetched/index.js";

const [url = "", scan = ""] = process.argv.slice(2);
const scans = new ScansApi(new Configuration({ basePath: url }));

const found = await scans.segment({ body: new Blob([new Uint8Array(await readFile(scan))]), threshold: 0.5, outputs: "none" });
// @ts-expect-error: it is typed, so that this is seen
const wrong: "no_such_verdict" = found.verdict;
console.log(found.verdict, found.tumorPixels ?? 0, found.model.version);

try {
  await scans.segment({ body: new Blob(["GIF89a"]) });
} catch (error) {
  if (!(error instanceof ResponseError)) throw error;
  const problem = ProblemFromJSON(await error.response.json());
  console.log(problem.code, problem.status);
}
