"""Sections of a Markdown document, each written by one benchmark."""

import re

HEAD = "# Performance\n\nEach section is made by the benchmark it names; see `benches/README.md`.\n"
# Sections that have a place of their own; the others are between, in the order in which they came.
FIRST = ["Machine and versions", "Everything side by side"]
LAST = ["What is still short, and why"]


def read(path):
    """{title: text without its title} of the document at `path`, in order."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    parts = re.split(r"^## (.*)\n", text, flags=re.M)[1:]
    return {title: body.strip() for title, body in zip(parts[::2], parts[1::2])}


def write(path, title, lines):
    """Replaces the section `title` of the document at `path`, or adds it; `None` takes it away. The others stay."""
    found = read(path)
    if lines is None:
        found.pop(title, None)
    else:
        found[title] = "\n".join(lines).strip()

    def place(title):
        return FIRST.index(title) - len(FIRST) if title in FIRST else 1 + LAST.index(title) if title in LAST else 0

    path.parent.mkdir(parents=True, exist_ok=True)
    parts = [f"## {title}\n\n{found[title]}\n" for title in sorted(found, key=place)]
    path.write_text("\n".join([HEAD, *parts]), encoding="utf-8")
