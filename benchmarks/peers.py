"""Makes the environments of the peers that `peers.txt` pins, one for each of its sections.

    python benchmarks/peers.py [--folder .benchmarks/peers] [--only pythae ...]

One that cannot be installed is told of on one line, and the others are made all the same.
"""

import argparse
import subprocess
import sys
import venv
from pathlib import Path

PINS = Path(__file__).with_name("peers.txt")

HEADING = "# == "


def sections(text: str) -> dict[str, list[str]]:
    """The pins of each peer, by name."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith(HEADING):
            found[line.removeprefix(HEADING).strip()] = []
        elif line and not line.startswith("#"):
            found[list(found)[-1]].append(line)
    return found


def install(folder: Path, pins: list[str]) -> None:
    """An environment with these versions: torch, where it is among them, with what it needs, then
    the others alone.

    Raises:
        CalledProcessError: pip could not install one of them.
    """
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    torch = [pin for pin in pins if pin.startswith("torch==")]
    if torch:
        subprocess.run([*pip, *torch], check=True)
    subprocess.run([*pip, "--no-deps", *(pin for pin in pins if pin not in torch)], check=True)


def main() -> int:
    """The exit code is 1 if one of them cannot be installed."""
    pins = sections(PINS.read_text(encoding="utf-8"))
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("--folder", type=Path, default=PINS.parents[1] / ".benchmarks" / "peers")
    words.add_argument("--only", nargs="+", choices=pins, default=list(pins))
    given = words.parse_args()
    failed = []
    for name in given.only:
        try:
            install(given.folder / name, pins[name])
            print(f"{name}: {given.folder / name}", flush=True)
        except (subprocess.CalledProcessError, OSError) as error:
            failed.append(name)
            print(f"{name}: not installed: {error}", file=sys.stderr, flush=True)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
