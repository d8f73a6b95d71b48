// Requests to the service.

import { Problem } from "./words.js";

const ROOT = new URL("..", import.meta.url);
const REMEMBERED = "alexnet.token";
const CODES = {
  "empty-image": "empty_image", "not-an-image": "not_an_image", "broken-image": "broken_image",
  "too-many-pixels": "too_many_pixels", "too-large": "too_large", busy: "busy", "too-slow": "too_slow",
  loading: "loading", stopping: "offline", token: "wrong_token",
};
const BUSY_TRIES = 30;
let token = null;

/** The token that came behind the page's #, or that was given in this tab before. */
export function recallToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given !== null) history.replaceState(null, "", location.pathname + location.search);
  try {
    token = given ?? sessionStorage.getItem(REMEMBERED);
  } catch {
    token = given; // storage is switched off
  }
  if (given !== null) setToken(given);
}

/** Send this token from now on. */
export function setToken(text) {
  token = text;
  try {
    sessionStorage.setItem(REMEMBERED, text);
  } catch {
    // it is asked for again when the page is loaded again
  }
}

/** What went wrong, in words of the page where it has them. */
export function problemOf(code, detail, name) {
  const problem = code in CODES ? new Problem(`serve.${CODES[code]}`, { name }) : new Error(detail);
  problem.code = code;
  return problem;
}

/** The service's JSON. Throws a Problem or an Error that says why there is none. `name`: what a body is called. */
export async function ask(path, { method = "GET", body, type, name = "", signal } = {}) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (type) headers["Content-Type"] = type;
  for (let tries = 1; ; tries += 1) {
    let response;
    try {
      response = await fetch(new URL(path, ROOT), { method, body, headers, signal, cache: "no-store" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem("serve.offline");
    }
    if (response.status === 429 && tries < BUSY_TRIES) {
      await new Promise((resolve) => setTimeout(resolve, 1000 * Number(response.headers.get("Retry-After") ?? 1)));
      continue;
    }
    const values = await response.json().catch(() => ({}));
    if (response.ok) return values;
    throw problemOf((values.type ?? "").split(":").pop(), values.detail ?? response.statusText, name);
  }
}

/** What `model` says of one image, a Blob: { classes, answer }. */
export async function predict(model, blob, name, signal) {
  const query = new URLSearchParams({ model });
  const options = { method: "POST", body: blob, type: "application/octet-stream", name, signal };
  return (await ask(`v1/predict?${query}`, options)).predictions[0];
}
