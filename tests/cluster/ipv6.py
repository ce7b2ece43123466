"""The shared one-node cluster with an IPv6-only pod network, beside the IPv4 one.

    eval "$(python -m tests.cluster.ipv6 up ../shared/kubernetes)"    # …, load ../shared/kubernetes IMAGE…, down ../shared/kubernetes

Its scripts are copied and rewritten line by line; a line that is not there any more is an error.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

PLACE = Path("/var/lib/one-node-cluster-v6")
SCRIPTS = PLACE.with_name(f"{PLACE.name}-scripts")
CGROUP = "one-node-cluster-v6"
# Script → what stands in it, what takes its place. IPv4 is left to loopback and to etcd on it.
REWRITTEN = {
    "env.sh": [
        ("/var/lib/one-node-cluster}", f"{PLACE}}}"),
        ("netns=one-node-cluster", "netns=one-node-cluster-v6"),
        ("node_ip=10.250.0.2", "node_ip=fd00:10:250::2"),
        ("host_ip=10.250.0.1", "host_ip=fd00:10:250::1"),
    ],
    "up": [
        ("onc-host", "onc6-host"),
        ("one-node-cluster-ipam", "one-node-cluster-v6-ipam"),
        ('$host_ip/30"', '$host_ip/126" nodad'),
        ('$node_ip/30"', '$node_ip/126" nodad'),
        ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"),
        ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables"),
        # Two kubelets under one control group would each remove the other's pods.
        (
            'mkdir -p "$root"/',
            f'for group in /sys/fs/cgroup/*/; do mkdir -p "$group"{CGROUP}; done; mkdir -p "$root"/',
        ),
        ("cgroupDriver: cgroupfs", f"cgroupDriver: cgroupfs\ncgroupRoot: /{CGROUP}"),
        ("IP:10.96.0.1", "IP:fd00:10:96::1"),
        ("https://$node_ip:6443", "https://[$node_ip]:6443"),
        ("ready $node_ip:8181", "ready [$node_ip]:8181"),
        ("http://$node_ip:8181", "http://[$node_ip]:8181"),
        ("healthzBindAddress: $node_ip:10256", 'healthzBindAddress: "[$node_ip]:10256"'),
        ("10.244.0.0/24", "fd00:10:244::/64"),
        ("0.0.0.0/0", "::/0"),
        ("clusterCIDR: 10.244.0.0/16", "clusterCIDR: fd00:10:244::/56"),
        ("10.96.0.0/16", "fd00:10:96::/112"),
        ("start network-policies ", 'start network-policies env PATH="$here/ipv6:$PATH" '),
    ],
    "down": [
        ("onc-host", "onc6-host"),
        ("one-node-cluster-ipam", "one-node-cluster-v6-ipam"),
        ("cgroup/*/kubepods /sys/fs/cgroup/kubepods", f"cgroup/*/{CGROUP} /sys/fs/cgroup/{CGROUP}"),
    ],
    "load": [],
}
# Its NetworkPolicy controller writes iptables rules for the address that a pod has. As ip6tables rules they hold as
# well, once an address has 128 bits, blocks of IPv4 addresses are left out and neighbours may still find each other.
PROGRAMS = {
    "iptables-restore": "exec sed -E -e 's#(:[0-9a-f]*)/32#\\1/128#; /[0-9]\\.[0-9]+\\.[0-9]/d' "
    "-e '/ctstate/i -A NETPOL -p ipv6-icmp -j RETURN' | ip6tables-restore \"$@\"",
    "iptables": 'exec ip6tables "$@"',
}


def derive(shared: Path) -> Path:
    """Write the IPv6 variant of the scripts in `shared`; the folder.

    Raises:
        ValueError: a script does not say any more what is to be rewritten.
    """
    (SCRIPTS / "ipv6").mkdir(parents=True, exist_ok=True)
    for name in ("cluster.xz", "pause.tar"):
        (SCRIPTS / name).unlink(missing_ok=True)
        (SCRIPTS / name).symlink_to(shared.resolve() / name)
    for name, changes in REWRITTEN.items():
        text = (shared / name).read_text()
        for old, new in changes:
            if old not in text:
                raise ValueError(f"{shared / name} says {old} no more: mend {__file__}")
            text = text.replace(old, new)
        _program(SCRIPTS / name, text)
    for name, line in PROGRAMS.items():
        _program(SCRIPTS / "ipv6" / name, f"#!/bin/sh\n{line}\n")
    return SCRIPTS


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def main(command: str, shared: str, *words: str) -> None:
    """Run `up`, `load` or `down` of the variant in place of this process."""
    scripts = derive(Path(shared))
    os.execv(scripts / command, [command, *words])


if __name__ == "__main__":
    main(*sys.argv[1:])
