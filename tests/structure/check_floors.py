"""Fails when an include points up a floor, or sideways where the design does not let it (docs/ARCHITECTURE.md)."""
import re
import sys
from pathlib import Path

# Each folder of src/ and what it may include beside itself.
FLOORS = {
    "base": [],
    "memory": ["base"],
    "backends": ["base"],
    "cpu": ["memory", "base"],
    "devices": ["memory", "backends", "base"],
    "paravirt": ["cpu", "memory", "base"],
    "machine": ["devices", "paravirt", "cpu", "memory", "backends", "base"],
    "vm": ["machine", "devices", "paravirt", "cpu", "memory", "backends", "base"],
    "image": ["base"],
    "container": ["base"],
    "oci": ["container", "base"],
    "units": [],
    "init": [],
    "usernet": ["backends", "base"],
    "instance": ["container", "image", "base"],
    "names": ["instance", "base"],
    "monitor": ["instance", "base"],
    "cli": ["instance", "image", "vm", "machine", "devices", "paravirt", "cpu", "memory", "backends", "base"],
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def main():
    source = Path(sys.argv[1])
    faults = []
    for path in sorted(p for p in source.rglob("*") if p.suffix in (".hpp", ".cpp", ".inl")):
        floor = path.relative_to(source).parts[0]
        if floor not in FLOORS:
            faults.append(f"{path}: '{floor}' is not a floor; add it to FLOORS")
            continue
        for include in INCLUDE.findall(path.read_text()):
            target = include.split("/")[0]
            if target == "strata" or target == floor:
                continue  # the public API's headers, or the floor's own
            if target not in FLOORS[floor]:
                faults.append(f"{path}: includes \"{include}\": {floor} may use {', '.join(FLOORS[floor]) or 'nothing'}")
    print("\n".join(faults) or "All includes point down.")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
