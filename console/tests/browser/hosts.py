"""Machines with OpenSSH servers for a browser test: prints what is needed to reach them, and ends with its input."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "python"))

from sshd import Hosts, stripped_agent  # noqa: E402


def main() -> None:
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    stripped_agent(folder / "agents")
    hosts = Hosts(folder / "hosts")
    try:
        for number in range(count):
            hosts.start(number)
        hosts.wait()
        refusing = hosts.refusing()
        print(
            json.dumps(
                {
                    "key": hosts.key,
                    "agents": str(folder / "agents"),
                    "hosts": [{"address": host.address, "port": host.port} for host in hosts.hosts],
                    "refusing": {"address": refusing[0], "port": refusing[1]},
                }
            ),
            flush=True,
        )
        sys.stdin.read()
    finally:
        hosts.stop()


main()
