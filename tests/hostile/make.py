"""Makes the corpus of hostile images: make.py DIR CANARY SIBLING PORT.

DIR gets the folder images and cases.json. Images name the file of the absolute path CANARY, SIBLING beside themselves,
and PORT of this machine."""

import sys
from pathlib import Path

import compressed
import formats
import ova_manifest
import ova_ovf
import ova_split
import ova_tar
import qcow2
import records
import vhd
import vhdx
import vmdk_header
import vmdk_stream
import vmdk_tables
import vmdk_text
from corpus import Corpus

# Each uses the legal images of those before it.
PARTS = (
    vmdk_text,
    vmdk_header,
    vmdk_tables,
    vmdk_stream,
    ova_tar,
    ova_manifest,
    ova_ovf,
    ova_split,
    qcow2,
    vhd,
    vhdx,
    formats,
    compressed,
    records,
)


def main() -> None:
    folder, canary, sibling, port = sys.argv[1:]
    (Path(folder) / "images").mkdir(exist_ok=True)
    corpus = Corpus(Path(folder), canary, sibling, int(port))
    for part in PARTS:
        part.add(corpus)
    corpus.write()


if __name__ == "__main__":
    main()
