"""Makes Swift's three rings of one device in a folder: make_rings.py FOLDER ACCOUNT_PORT CONTAINER_PORT OBJECT_PORT"""

import sys
from pathlib import Path

from swift.common.ring import RingBuilder

folder, *ports = sys.argv[1:]
for name, port in zip(("account", "container", "object"), map(int, ports)):
    # Sixteen partitions, one replica, no wait between changes.
    ring = RingBuilder(4, 1, 0)
    address = {"ip": "127.0.0.1", "port": port, "replication_ip": "127.0.0.1", "replication_port": port}
    ring.add_dev({"region": 1, "zone": 1, "device": "d1", "weight": 1.0, "meta": "", **address})
    ring.rebalance()
    ring.get_ring().save(str(Path(folder) / f"{name}.ring.gz"))
