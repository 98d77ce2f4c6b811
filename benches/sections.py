"""Sections of a Markdown document, each written by one benchmark."""

import re

HEAD = "# Performance\n\nEach section is made by the benchmark it names; see `benches/README.md`.\n"


def write(path, title, lines):
    """Replaces the section `title` of the document at `path`, or adds it; the others stay."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_text(encoding="utf-8") if path.exists() else HEAD
    parts = re.split(r"^(?=## )", text, flags=re.M)
    section = f"## {title}\n\n" + "\n".join(lines).strip() + "\n"
    kept = [part.strip() + "\n" for part in parts[1:]]
    at = next((i for i, part in enumerate(kept) if part.startswith(f"## {title}\n")), None)
    if at is None:
        kept.append(section)
    else:
        kept[at] = section
    path.write_text("\n".join([HEAD, *kept]), encoding="utf-8")
