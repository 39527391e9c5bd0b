// The one place that speaks to the server. Addresses are relative: the page works behind a prefix.
import { readEvents } from "./sse.js";

const KEY = "continuo.api-key";

// The API key lives as long as the tab, never longer.
export const apiKey = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (key) => (key ? sessionStorage.setItem(KEY, key) : sessionStorage.removeItem(KEY)),
};

// What the server said, in its own words. status 0: it could not be reached.
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

function wordsOf(text, response) {
  try {
    const body = JSON.parse(text);
    const message = body.error?.message ?? body.message ?? body.error ?? body.detail;
    if (typeof message === "string" && message) return message;
  } catch {
    // Not JSON: a proxy's page, perhaps.
  }
  return `The server answered ${response.status} ${response.statusText}`.trim();
}

async function send(path, { body, signal } = {}) {
  const headers = {};
  if (body) headers["Content-Type"] = "application/json";
  if (apiKey.get()) headers.Authorization = `Bearer ${apiKey.get()}`;
  let response;
  try {
    response = await fetch(path, {
      method: body ? "POST" : "GET",
      headers,
      body: body && JSON.stringify(body),
      signal,
      cache: "no-store",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server cannot be reached.", 0);
  }
  return response;
}

export async function getJson(path, signal) {
  const response = await send(path, { signal });
  if (!response.ok) throw new ApiError(wordsOf(await response.text(), response), response.status);
  return response.json();
}

// { ready, ...what the server says of its loading }.
export async function getHealth() {
  const response = await send("health");
  const text = await response.text();
  try {
    return { ...JSON.parse(text), ready: response.ok };
  } catch {
    return { ready: response.ok };
  }
}

// The JSON objects of a streamed answer until [DONE]. An error in the stream is thrown.
export async function* postStream(path, body, signal) {
  const response = await send(path, { body, signal });
  if (!response.ok) throw new ApiError(wordsOf(await response.text(), response), response.status);
  try {
    for await (const { data } of readEvents(response.body)) {
      if (data === "[DONE]") return;
      const object = JSON.parse(data);
      if (object.error) throw new ApiError(object.error.message ?? "The server failed.", 200);
      yield object;
    }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof ApiError) throw error;
    throw new ApiError("The connection broke off.", 0);
  }
  throw new ApiError("The answer broke off before its end.", 0);
}
