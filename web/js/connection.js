// Follows the server from loading to ready, and finds out what it serves.
import { ApiError, getHealth, getJson } from "./api.js";

const RETRY_MS = 1000;

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// What loading looks like in words: "Compiling, 3 of 12".
export function describeLoading({ stage, done, total }) {
  const words = { weights: "Loading weights", compile: "Compiling" }[stage] ?? "Loading the model";
  return total > 0 ? `${words}, ${done} of ${total}` : `${words}\u2026`;
}

// Resolves to the model once the server is ready: { id, chat, text, context }. A 401 is thrown.
// onProgress({ text, fraction }) hears of loading; fraction is null where it is unknown.
export async function connect(onProgress) {
  for (;;) {
    try {
      const health = await getHealth();
      if (health.ready) return await readModel();
      const progress = health.progress ?? {};
      const fraction = progress.total > 0 ? progress.done / progress.total : null;
      onProgress({ text: describeLoading(progress), fraction });
    } catch (error) {
      if (!(error instanceof ApiError) || error.status === 401) throw error;
      onProgress({ text: error.message, fraction: null });
    }
    await wait(RETRY_MS);
  }
}

async function readModel() {
  const { data } = await getJson("v1/models");
  const entry = data?.[0];
  if (!entry) throw new ApiError("The server names no model.", 404);
  const text = entry.text !== false;
  return {
    id: entry.id,
    text,
    chat: text && entry.chat !== false,
    context: entry.max_model_len ?? 0,
  };
}

export async function readVersion() {
  try {
    return (await getJson("version")).version ?? "";
  } catch {
    return "";
  }
}
