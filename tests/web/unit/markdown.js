// Markdown made safe.
import { MarkdownView, renderMarkdown, splitThinking } from "../js/markdown.js";
import { equal, ok } from "./check.js";

function render(source) {
  const box = document.createElement("div");
  box.append(renderMarkdown(source));
  return box;
}
const tags = (box) => [...box.querySelectorAll("*")].map((node) => node.localName);

// What must never become an element that acts.
const ATTACKS = [
  "<script>window.pwned = 1</script>",
  "<img src=x onerror='window.pwned = 1'>",
  "text <img src=x onerror='window.pwned = 1'> text",
  "<svg onload='window.pwned = 1'><animate onbegin='window.pwned = 1'/></svg>",
  "<iframe srcdoc='<script>parent.pwned = 1</script>'></iframe>",
  "<a href='javascript:window.pwned = 1'>a</a>",
  "[a](javascript:window.pwned=1)",
  "[a](JaVaScRiPt:window.pwned=1)",
  "[a](&#106;avascript:window.pwned=1)",
  "[a](data:text/html,<script>window.pwned=1</script>)",
  "[a](vbscript:x)",
  "![a](javascript:window.pwned=1)",
  '![a" onerror="window.pwned=1](x)',
  "[a](https://x.test \"t' onmouseover='window.pwned=1\")",
  "```\"><img src=x onerror='window.pwned = 1'>\nx\n```",
  "```html\n<img src=x onerror='window.pwned = 1'>\n```",
  "`<img src=x onerror='window.pwned = 1'>`",
  "<math><mtext><table><mglyph><style><img src=x onerror='window.pwned = 1'></style></mglyph></table></mtext></math>",
  "<form action='/v1/completions'><input name=a><button>b</button></form>",
  "<style>body { display: none }</style>",
  "<base href='https://x.test/'><meta http-equiv=refresh content='0;url=https://x.test'>",
  "<p id=message class=turn style='position: fixed' data-x=1>x</p>",
  "| <img src=x onerror='window.pwned = 1'> |\n|---|\n| <script>window.pwned = 1</script> |",
];
const HARMLESS = new Set(
  "p br hr em strong del code pre blockquote ul ol li h1 h2 h3 h4 h5 h6 table thead tbody tr th td a span div button svg use".split(
    " ",
  ),
);

export const tests = {
  "attacks make only harmless elements": async () => {
    for (const attack of ATTACKS) {
      const box = render(attack);
      document.body.append(box);
      for (const node of box.querySelectorAll("*")) {
        ok(HARMLESS.has(node.localName), `${attack} made <${node.localName}>`);
        for (const { name, value } of node.attributes) {
          ok(
            !name.startsWith("on") && name !== "style" && name !== "id",
            `${attack} made ${name}="${value}"`,
          );
          ok(
            name !== "href" || /^(https?:|icons\.svg#)/.test(value),
            `${attack} made ${name}="${value}"`,
          );
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
      box.remove();
    }
    ok(!("pwned" in window), "a script ran");
  },
  "HTML is shown as it was written": () =>
    equal(render("a <b>c</b>\n\n<div>d</div>").textContent.trim(), "a <b>c</b>\n<div>d</div>"),
  "links open apart and tell nothing": () => {
    const link = render("[a](https://x.test/?q=1)").querySelector("a");
    equal(
      [link.href, link.target, link.rel],
      ["https://x.test/?q=1", "_blank", "noopener noreferrer nofollow"],
    );
  },
  "pictures become links": () => {
    const box = render("![a cat](https://x.test/cat.png)");
    equal([box.querySelector("img"), box.querySelector("a").textContent], [null, "a cat"]);
  },
  "task lists need no input element": () =>
    equal(render("- [x] a\n- [ ] b").textContent.replace(/\s+/g, " ").trim(), "\u2611 a \u2610 b"),
  "code is coloured and whole": () => {
    const source = 'def f(a):\n    return "<b>" + a  # &amp;';
    const code = render(`\`\`\`python\n${source}\n\`\`\``).querySelector("code");
    equal(code.textContent.trimEnd(), source);
    ok(code.querySelector(".hljs-keyword"), "no keyword is coloured");
  },
  "an unknown language stays plain": () =>
    equal(render("```nonsense\na < b\n```").querySelector("code").children.length, 0),
  "wide tables scroll by themselves": () =>
    equal(tags(render("|a|\n|-|\n|b|")).slice(0, 2), ["div", "table"]),
  "thinking is set apart": () => {
    equal(splitThinking("<think>hm</think>yes"), { thinking: "hm", answer: "yes" });
    equal(splitThinking("\n<think>hm"), { thinking: "hm", answer: "" });
    equal(splitThinking("a <think>"), { thinking: null, answer: "a <think>" });
  },
  "a growing view ends as the whole": () => {
    const source =
      "# A\n\ntext [l][1]\n\n```js\nlet a = 1;\n\nlet b;\n```\n\n1. x\n2. y\n\n| a |\n|---|\n| b |\n\n[1]: https://x.test\n\nend";
    const view = new MarkdownView();
    for (let at = 1; at <= source.length; at += 1) view.update(source.slice(0, at), false);
    view.update(source, true);
    equal(view.node.querySelector(".blocks").innerHTML, render(source).innerHTML);
  },
  "finished blocks keep their elements": () => {
    const view = new MarkdownView();
    view.update("first\n\nsecond\n\nth", false);
    const [first, second] = view.node.querySelectorAll(".block");
    view.update("first\n\nsecond\n\nthird", false);
    const after = view.node.querySelectorAll(".block");
    ok(after[0] === first && after[1] === second, "a finished block was made anew");
    equal(after[2].textContent.trim(), "third");
  },
};
