// Requests to the front door. Errors are ApiError with the contract's code.

const RETRIES = 3;
let key = sessionStorage.getItem("brainseg-key") || "";

export class ApiError extends Error {
  // `code`: the contract's, or "offline", "cancelled", "too_large" as found here.
  constructor(code, detail, retryAfter = null) {
    super(detail);
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

// Kept for this tab only.
export function setKey(value) {
  key = value;
  sessionStorage.setItem("brainseg-key", value);
}

const authorization = () => (key ? { Authorization: `Bearer ${key}` } : {});

function problem(status, text, retryAfter) {
  try {
    const body = JSON.parse(text);
    return new ApiError(body.code, body.detail, retryAfter);
  } catch {
    return new ApiError("internal_error", `The server answered with status ${status}.`);
  }
}

export async function getJson(path) {
  let response;
  try {
    response = await fetch(path, { headers: authorization() });
  } catch {
    throw new ApiError("offline", "The server cannot be reached.");
  }
  const text = await response.text();
  if (!response.ok) throw problem(response.status, text);
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError("internal_error", "The answer is no JSON: is there a login page or a proxy in between?");
  }
}

export async function getFile(path) {
  const response = await fetch(path).catch(() => null);
  if (!response?.ok) throw new ApiError("offline", "The sample cannot be loaded.");
  return response.blob();
}

// One POST by XMLHttpRequest, which, unlike fetch, tells how far an upload has come.
function post(file, { path = "/api/v1/segment", query, accept, onUpload, signal }) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(new ApiError("cancelled", "Cancelled."));
    const request = new XMLHttpRequest();
    request.open("POST", `${path}?${query}`);
    request.responseType = "arraybuffer";
    for (const [name, value] of Object.entries({ ...authorization(), Accept: accept, ...(file instanceof FormData ? {} : { "Content-Type": "application/octet-stream" }) })) {
      request.setRequestHeader(name, value);
    }
    request.upload.onprogress = (event) => onUpload?.(event.loaded / (event.total || 1));
    request.upload.onload = () => onUpload?.(1);
    request.onerror = () => reject(new ApiError("offline", "The connection to the server broke."));
    request.onabort = () => reject(new ApiError("cancelled", "Cancelled."));
    request.onload = () => {
      if (request.status === 200) return resolve(request.response);
      const after = Number(request.getResponseHeader("Retry-After")) || null;
      reject(problem(request.status, new TextDecoder().decode(request.response), after));
    };
    signal?.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

async function postPatiently(file, options) {
  for (let attempt = 0; ; attempt++) {
    try {
      return await post(file, options);
    } catch (error) {
      if (!error.retryAfter || attempt === options.retries || options.signal?.aborted) throw error;
      await pause(Math.min(error.retryAfter, 10));
    }
  }
}

const queryOf = (fields) => new URLSearchParams(Object.entries(fields).filter(([, value]) => value !== undefined && value !== ""));

// `fields`: the contract's, and `version`. `accept` other than JSON gives a Blob, and so does `raw`.
export async function segment(file, fields, { accept = "application/json", raw = false, retries = RETRIES, onUpload, signal } = {}) {
  const answer = await postPatiently(file, { query: queryOf(fields), accept, retries, onUpload, signal });
  if (raw || accept !== "application/json") return new Blob([answer], { type: accept });
  return JSON.parse(new TextDecoder().decode(answer));
}

// Which type of tumour slice `index` shows: the contract's answer.
export async function classify(file, index, { retries = RETRIES, onUpload, signal } = {}) {
  const query = new URLSearchParams({ slices: index }), accept = "application/json";
  return JSON.parse(new TextDecoder().decode(await postPatiently(file, { path: "/api/v1/classify", query, accept, retries, onUpload, signal })));
}

// What of one slice moves the answer; `fields` as of segment(), with `question`, `method` and `slice`.
export async function explain(file, fields, { retries = RETRIES, onUpload, signal } = {}) {
  const answer = await postPatiently(file, { path: "/api/v1/explain", query: queryOf(fields), accept: "application/json", retries, onUpload, signal });
  return JSON.parse(new TextDecoder().decode(answer));
}
