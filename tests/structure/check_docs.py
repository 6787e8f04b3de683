"""Fails when docs/ARCHITECTURE.md names a file or folder that is not there, or any document links to one."""
import re
import sys
from pathlib import Path

FILE = re.compile(r"`([\w./-]+\.(?:cpp|hpp|py|md)|[\w-]+(?:/[\w-]+)+/?)`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def main():
    root = Path(sys.argv[1])
    names = {path.name for path in (root / "src").rglob("*")}
    faults = []
    for name in FILE.findall((root / "docs/ARCHITECTURE.md").read_text()):
        known = any((base / name).exists() for base in (root, root / "src", root / "include")) or \
            ("/" not in name and name in names)
        if not known:
            faults.append(f"docs/ARCHITECTURE.md: there is no {name}")
    for document in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        for link in LINK.findall(document.read_text()):
            if not (document.parent / link).exists():
                faults.append(f"{document.relative_to(root)}: links to {link}, which is not there")
    print("\n".join(faults) or "All that the documents name is there.")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
