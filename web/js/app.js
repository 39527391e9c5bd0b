// The page: wires the parts together and holds what they share.
import { apiKey } from "./api.js";
import { BatchView } from "./batch.js";
import { Composer } from "./composer.js";
import { connect, readVersion } from "./connection.js";
import { Conversation } from "./conversation.js";
import { announce, byId } from "./dom.js";
import { chatRequest, completionRequest, generate, parseTokenIds } from "./generation.js";
import { Panel } from "./panel.js";
import { Settings } from "./settings.js";
import { Transcript, welcome } from "./transcript.js";

let model = null; // { id, chat, text, context } once the server is ready
let running = null; // AbortController of the answer that streams
let connecting = false;

const conversation = new Conversation();
const transcript = new Transcript({ regenerate, proceed });
const composer = new Composer({ send, stop: () => running?.abort() });
const settings = new Settings(byId("settings"), refit);
const batch = new BatchView(start);
const panel = new Panel((tab) => (tab === "batch" && model ? batch.start() : batch.stop()));

const mode = () => (model?.chat ? settings.mode : "completion");

// Waits for the server; shows its loading, and asks for a key where it wants one.
async function start() {
  if (connecting) return;
  connecting = true;
  model = null;
  batch.stop();
  composer.setReady(false);
  try {
    model = await connect(showProgress);
    ready();
  } catch (error) {
    if (error.status === 401) askForKey(error.message);
    else showProgress({ text: error.message, fraction: null });
  } finally {
    connecting = false;
  }
}

async function ready() {
  byId("loading").hidden = true;
  byId("key-form").hidden = true;
  byId("status").dataset.state = "ready";
  byId("status").title = "Ready";
  byId("model").textContent = model.id;
  document.title = `${model.id} \u00b7 Continuo`;
  refit();
  composer.setReady(true);
  announce(`${model.id} is ready`);
  if (!byId("batch").hidden) batch.start();
  byId("version").textContent = await readVersion();
}

function showProgress({ text, fraction }) {
  byId("status").dataset.state = "waiting";
  byId("status").title = text;
  byId("loading").hidden = false;
  byId("loading-text").textContent = text;
  byId("loading-bar").classList.toggle("unknown", fraction == null);
  byId("loading-bar").style.setProperty("--position", `${100 * (fraction ?? 0)}%`);
}

function askForKey(message) {
  byId("loading").hidden = true;
  byId("key-message").textContent = message;
  byId("key-form").hidden = false;
  byId("key").focus();
}

byId("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  apiKey.set(byId("key").value.trim());
  byId("key").value = "";
  await start();
  // What failed for want of the key is tried again.
  if (model && transcript.last?.turn.error) regenerate();
});

// Fits the page to the model and the mode.
function refit() {
  if (!model) return;
  settings.fit(model, mode());
  composer.fit(model, mode());
  byId("facts").textContent = [
    mode() === "chat"
      ? "Chat"
      : model.text
        ? "Completion"
        : "Token ids: this model has no tokenizer",
    model.context ? `${model.context.toLocaleString("en-US")} positions` : "",
  ]
    .filter(Boolean)
    .join(" \u00b7 ");
  byId("beginnings").replaceChildren(welcome(model, mode(), (text) => composer.fill(text)));
  showWelcome();
}

function showWelcome() {
  byId("welcome").hidden = conversation.turns.length > 0;
  byId("clear").disabled = conversation.turns.length === 0;
}

function addTurn(turn) {
  conversation.turns.push(turn);
  showWelcome();
  return transcript.add(turn);
}

// A new question or prompt. Returns false where it cannot be sent, with the reason shown.
function send(text) {
  if (!model || running) return false;
  if (!model.text && !parseTokenIds(text)) {
    composer.complain("This model has no tokenizer: write token ids, such as 1, 2, 3.");
    return false;
  }
  const chat = mode() === "chat";
  addTurn({ role: chat ? "user" : "prompt", content: text });
  answer(chat ? "assistant" : "completion");
  return true;
}

function regenerate() {
  const last = conversation.turns.at(-1);
  if (!model || running || !last) return;
  conversation.turns.pop();
  transcript.removeLast();
  answer(last.role);
}

// The prompt and what came of it become the prompt; the answer grows on.
function proceed() {
  const last = transcript.last;
  if (model && !running && last?.turn.role === "completion") run(last);
}

function answer(role) {
  run(addTurn({ role, content: "", ids: model.text ? undefined : [] }));
}

function requestFor(turn) {
  const sampling = settings.sampling();
  if (turn.role === "assistant")
    return chatRequest(model, conversation.messages(settings.system), sampling);
  const prompt = conversation.turns.at(-2).content;
  if (model.text) return completionRequest(model, prompt + turn.content, sampling);
  return completionRequest(
    model,
    [...(parseTokenIds(prompt) ?? []), ...(turn.ids ?? [])],
    sampling,
  );
}

// Streams into a turn, after what it already holds.
async function run(view) {
  const { turn } = view;
  const before = { content: turn.content, ids: turn.ids ?? [] };
  const take = ({ text, ids, finish, figures }) => {
    turn.ids = model?.text === false ? before.ids.concat(ids) : undefined;
    turn.content = turn.ids ? turn.ids.join(", ") : before.content + text;
    Object.assign(turn, { finish, figures });
  };
  delete turn.error;
  running = new AbortController();
  composer.setRunning(true);
  transcript.grow();
  announce("Answering");
  try {
    take(
      await generate(requestFor(turn), running.signal, (state) => {
        take(state);
        transcript.grow();
      }),
    );
    announce("The answer is complete");
  } catch (error) {
    if (error.state) take(error.state);
    turn.error = error.message;
    if (error.status === 401) askForKey(error.message);
  } finally {
    running = null;
    transcript.finish();
    composer.setRunning(false);
    composer.showUsage(turn.figures, model?.context);
    conversation.save();
  }
}

byId("clear").addEventListener("click", () => {
  running?.abort();
  const before = conversation.clear();
  transcript.reset([]);
  showWelcome();
  byId("undo").hidden = false;
  byId("undo-button").onclick = () => restore(before);
  clearTimeout(byId("undo").timer);
  byId("undo").timer = setTimeout(() => (byId("undo").hidden = true), 8000);
  composer.showUsage(null);
  composer.focus();
});

function restore(turns) {
  byId("undo").hidden = true;
  conversation.turns = [...turns, ...conversation.turns];
  conversation.save();
  transcript.reset(conversation.turns);
  showWelcome();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && running) running.abort();
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !typing) {
    event.preventDefault();
    composer.focus();
  }
});

transcript.reset(conversation.turns);
showWelcome();
panel.show(panel.wide ? "batch" : null);
start();
