// Markdown as a model writes it, made into safe elements. HTML in it is shown as text; DOMPurify is
// the second wall, and Trusted Types (the server's policy) the third: only it may make markup.
import DOMPurify from "../vendor/dompurify.js";
import hljs from "../vendor/highlight.js";
import { Marked } from "../vendor/marked.js";
import { copyButton, el } from "./dom.js";

const MAX_HIGHLIGHTED = 50_000;

const TAGS =
  "p br hr em strong del code pre blockquote ul ol li h1 h2 h3 h4 h5 h6 a span " +
  "table thead tbody tr th td";
const ALLOWED = {
  ALLOWED_TAGS: TAGS.split(" "),
  ALLOWED_ATTR: ["href", "title", "class", "align", "start"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
  RETURN_DOM_FRAGMENT: true,
};

const escapeHtml = (text) =>
  text.replace(
    /[&<>"']/g,
    (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" })[c],
  );

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ text, block }) => (block ? `<p>${escapeHtml(text)}</p>` : escapeHtml(text)),
    // Nothing is fetched from elsewhere: a picture becomes a link to it.
    image: ({ href, text }) => `<a href="${escapeHtml(href)}">${escapeHtml(text || href)}</a>`,
    checkbox: ({ checked }) => (checked ? "\u2611 " : "\u2610 "),
  },
});

function highlight(code, language) {
  if (!hljs.getLanguage(language) || code.textContent.length > MAX_HIGHLIGHTED) return;
  const { value } = hljs.highlight(code.textContent, { language, ignoreIllegals: true });
  code.replaceChildren(
    DOMPurify.sanitize(value, {
      ALLOWED_TAGS: ["span"],
      ALLOWED_ATTR: ["class"],
      RETURN_DOM_FRAGMENT: true,
    }),
  );
}

function codeBlock(pre, whole) {
  const code = pre.querySelector("code") ?? pre;
  const language =
    /(?:^|\s)language-([\w+#.-]{1,30})/.exec(code.className)?.[1].toLowerCase() ?? "";
  code.removeAttribute("class");
  if (language && whole) highlight(code, language);
  pre.setAttribute("tabindex", "0");
  const bar = el("div.code-bar", {}, el("span", {}, language || "text"));
  bar.append(copyButton("Copy code", () => code.textContent));
  const block = el("div.code-block", {}, bar);
  pre.replaceWith(block);
  block.append(pre);
}

// One string of Markdown as a fragment. `whole` is false while its last block still grows.
export function renderMarkdown(source, whole = true) {
  const fragment = DOMPurify.sanitize(marked.parse(source), ALLOWED);
  for (const node of fragment.querySelectorAll("[class]")) {
    if (node.localName !== "code") node.removeAttribute("class");
  }
  for (const link of fragment.querySelectorAll("a")) {
    link.setAttribute("target", "_blank");
    link.setAttribute("rel", "noopener noreferrer nofollow");
  }
  for (const pre of fragment.querySelectorAll("pre")) codeBlock(pre, whole);
  for (const table of fragment.querySelectorAll("table")) {
    const frame = el("div.table-frame", { tabindex: "0", role: "region", "aria-label": "Table" });
    table.replaceWith(frame);
    frame.append(table);
  }
  return fragment;
}

// "<think>..." as reasoning models begin -> { thinking, answer }; thinking is null without it.
export function splitThinking(text) {
  const start = /^\s*<think>/.exec(text);
  if (!start) return { thinking: null, answer: text };
  const rest = text.slice(start[0].length);
  const end = rest.indexOf("</think>");
  if (end < 0) return { thinking: rest, answer: "" };
  return { thinking: rest.slice(0, end), answer: rest.slice(end + "</think>".length) };
}

// An element that shows growing Markdown: blocks that did not change keep their elements, and with
// them a reader's selection.
export class MarkdownView {
  node = el("div.markdown");
  #blocks = el("div.blocks");
  #raws = [];
  #thinking = null;

  constructor() {
    this.node.append(this.#blocks);
  }

  update(text, whole) {
    const { thinking, answer } = splitThinking(text);
    if (thinking?.trim()) this.#showThinking(thinking.trim());
    if (whole) {
      // All at once: a link may be defined in a later block.
      this.#raws = [];
      this.#blocks.replaceChildren(renderMarkdown(answer));
      return;
    }
    const raws = marked
      .lexer(answer)
      .map((token) => token.raw)
      .filter((raw) => raw.trim());
    const keys = raws.map((raw, at) => (at + 1 < raws.length ? raw : `${raw}\0growing`));
    let same = 0;
    while (same < keys.length && keys[same] === this.#raws[same]) same += 1;
    while (this.#blocks.children.length > same) this.#blocks.lastChild.remove();
    for (let at = same; at < raws.length; at += 1) {
      this.#blocks.append(el("div.block", {}, renderMarkdown(raws[at], at + 1 < raws.length)));
    }
    this.#raws = keys;
  }

  #showThinking(text) {
    if (!this.#thinking) {
      this.#thinking = el("p");
      this.node.prepend(el("details.thinking", {}, el("summary", {}, "Thinking"), this.#thinking));
    }
    this.#thinking.textContent = text;
  }
}
