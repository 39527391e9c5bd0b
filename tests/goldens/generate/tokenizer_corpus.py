"""The texts that tokenizer_files.py has its references encode: scripts, code, whitespace, controls."""

SPECIAL = ["<s>", "</s>", "<unk>", "<|im_end|>", "[INST]", "<tag>"]

SCRIPTS = [
    "The quick brown fox jumps over the lazy dog; it's 12,345.67 (or 9e-3)!",
    "Le cœur naïf de l'été déçu — « où ça ? »", "Größe, Straße, ẞ und Übermut",
    "Ελληνικά με τόνους: ἀρχή", "Съешь же ещё этих мягких французских булок",
    "עברית עם ניקוד: שָׁלוֹם", "العربية: السَّلَامُ عَلَيْكُم ١٢٣", "فارسی می‌خواهم ۴۵۶",
    "हिन्दी में नमस्ते १२३", "বাংলা ভাষা", "தமிழ் மொழி", "ไทยไม่มีช่องว่าง ๑๒๓", "ລາວ", "မြန်မာ", "ខ្មែរ",
    "ქართული ენა", "Հայերեն", "አማርኛ", "한국어 텍스트 처리", "日本語のテキスト、カタカナも。", "中文分詞測試，简体与繁體。",
    "Tiếng Việt có dấu", "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛 ① ½ ﬁ ﬀ Å ｆｕｌｌ　ｗｉｄｔｈ", "mixed日本text한국어и русский",
]
CODE = [
    "def f(x: int) -> str:\n    return f\"{x!r}\\n\"  # comment\n\n\nclass A:\n\tpass\n",
    "for (int i = 0; i < n; ++i) { a[i] *= 2; }", "<div class=\"x\">&nbsp;</div>\r\n", "SELECT * FROM t WHERE a='b';",
    "https://example.org/a?b=c&d=%20#e", "{\"k\": [1, 2.5, null, true]}", "\\alpha_{i} \\in \\mathbb{R}^{n \\times d}",
    "$ git log --oneline | head -n 3", "camelCaseWord snake_case_word SCREAMING_CASE kebab-case",
    "1234567890 000 007 1,000,000 3.14159", "a+b=c; x^2 || y && !z", "I'M SURE YOU'LL they'd we've IT'S",
]
SPACES = [
    "", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "\t\t x", " a", "  a", "a ", "a  ", "a  b", "a   b    c",
    "\n a", "a\n", "a \n b", " \n \n ", "a\u00a0b\u2003c\u3000d", "\u200b\u200c\u200da\u2060", "x" + " " * 40 + "y",
    "\n" * 9 + "z", "a\u2028b\u2029c\u0085d", "\u2581", "\u2581a", "a\u2581b", " \u2581 ",
]
CONTROLS = [
    "a\0b", "\0", "".join(map(chr, range(1, 32))), "\x7f\x80\x9f", "\ufeffbyte order mark", "mid\ufeffdle",
    "rtl \u202emark\u202c \u200f", "e\u0301 vs \u00e9, o\u0302\u0323", "\u0301alone", "a" + "\u0300" * 20,
    "\ufffd\ufffe\uffff", "\U0010fffe", "\ue000private", "<0x41><0xC3><0x0A>",
]
EMOJI = ["🙂", "👩‍👩‍👧‍👦 👍🏽 🏳️‍🌈 🇫🇷", "☃️ ✈ ♥️", "🧑🏿‍🚀x🙂🙂"]
LONG = ["a" * 300, "ab" * 150, "antidisestablishmentarianism" * 6, "日" * 90, "=" * 100 + "-" * 77, "é🙂" * 40]
IN_TEXT = [
    "a</s>b", "</s> b", "<s>a", " <s> ", "a<|im_end|>b", "<|im_end|>\n<|im_end|>", "x <unk> y", "[INST] hi [/INST]",
    "<tag>a<tag>", "a <tag> b", "<ta", "</s", "<|im_end|", "<s></s>", "<<s>>", "<S>",
]

TEXTS = SCRIPTS + CODE + SPACES + CONTROLS + EMOJI + LONG + IN_TEXT
