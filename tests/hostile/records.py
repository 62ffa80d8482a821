"""Records that are not true of their bytes."""

from compressed import PACK
from corpus import OVA, RAW, VMDK, Corpus, Terms, corrupt
from disk import SECTOR, SMALL
from vmdk import deflated, stream


def add(corpus: Corpus) -> None:
    image = stream(len(SMALL) // SECTOR, deflated(SMALL)).bytes()
    sized = VMDK | {"virtual_size": len(SMALL)}
    corpus.control("record/virtual-size", image, Terms(sized), SMALL)
    # Another location may have the right bytes.
    size, digest = "corrupt size-mismatch location", "corrupt digest-mismatch location"
    form = "invalid record-format image"
    for name, record, expected in [
        ("larger-size", {"size": len(SMALL) + 1}, size),
        ("smaller-size", {"size": len(SMALL) - 1}, size),
        ("size-of-2-63", {"size": 2**63 - 1}, "limit disk-bytes location"),
        ("digest-of-another-image", {"os_hash_value": "0" * 128}, digest),
        ("called-a-container", {"container_format": "docker"}, "unsupported no-unpacker image"),
        ("unknown-compression", {"compression": "lz4"}, "unsupported no-filter image"),
        ("compression-that-is-no-name", {"compression": "LZ 4"}, form),
        ("compressed-by-nothing", {"container_format": "compressed", "compression": "none"}, form),
        ("compressed-and-is-not", {"container_format": "compressed"}, corrupt("bad-magic")),
    ]:
        corpus.case("record", f"raw-{name}", SMALL, Terms(RAW | record), "raw/small", expected)
    for name, record, expected in [
        ("larger-size", {"size": len(image) + 1}, size),
        ("digest-of-another-image", {"os_hash_value": "0" * 128}, digest),
        ("smaller-virtual-size", {"virtual_size": 512}, corrupt("virtual-size-mismatch")),
        ("larger-virtual-size", {"virtual_size": 2**62}, corrupt("virtual-size-mismatch")),
    ]:
        corpus.case("record", f"vmdk-{name}", image, Terms(sized | record), "record/virtual-size", expected)
    inflated = RAW | {"compression": "gzip", "virtual_size": len(SMALL)}
    corpus.control("record/inflated-size", PACK["gzip"](SMALL), Terms(inflated), SMALL)
    for name, size in [("smaller", len(SMALL) - 1), ("larger", len(SMALL) + 1), ("tiny", 512)]:
        terms = Terms(inflated | {"virtual_size": size})
        expected = corrupt("virtual-size-mismatch")
        corpus.case("record", f"gzip-{name}-virtual-size", PACK["gzip"](SMALL), terms, "record/inflated-size", expected)
    corpus.case("record", "vmdk-called-a-package", image, Terms(OVA), "ova/no-manifest", corrupt("tar-magic"))
