"""Runs the notebooks of examples/notebooks and fails with the first cell that does: `python notebooks.py [FOLDER]` keeps them, with their
figures, in FOLDER."""

import base64
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    keep = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    notebooks = sorted((ROOT / "examples/notebooks").glob("*.ipynb"))
    assert len(notebooks) >= 3, notebooks
    for path in notebooks:
        started = time.monotonic()
        book = nbformat.read(path, as_version=4)
        assert not any(cell.get("outputs") for cell in book.cells if cell.cell_type == "code"), f"{path}: commit it without outputs"
        folder = keep or path.parent
        NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
        figures = [
            output["data"]["image/png"]
            for cell in book.cells
            if cell.cell_type == "code"
            for output in cell.outputs
            if "image/png" in output.get("data", {})
        ]
        assert figures, f"{path}: no figure"
        if keep is not None:
            nbformat.write(book, keep / path.name)
            for k, figure in enumerate(figures):
                (keep / f"{path.stem}-{k + 1}.png").write_bytes(base64.b64decode(figure))
        print(f"{path.name}: {len(figures)} figures in {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
