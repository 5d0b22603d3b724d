"""Write a file so that a kill at any moment leaves the old one or the new one, whole."""

from __future__ import annotations

import os
from pathlib import Path

from sxvae_runtime.files.staging import flush_folder, staging


def write_file(path: Path, content: bytes) -> None:
    """Write a file, or replace the one that is there.

    Raises:
        OSError: if it can't be written; the old one stays, and nothing is left behind.
    """
    with staging(path.parent) as stage:
        with stage.new.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave the new name with no content
        stage.new.replace(path)
        flush_folder(path.parent)
