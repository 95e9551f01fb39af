"""Runs inside: reaching anything over a network or a socket. Only addresses of this machine are ever spoken to."""

import socket

from common import leak, main, probe  # joined to one text before it runs


def _said(connection):
    with connection:
        connection.settimeout(2)
        return connection.recv(200).decode("utf-8", "replace")


@leak
def connect_to_loopback(world):
    return _said(socket.create_connection(("127.0.0.1", world["tcp_port"]), 2))


@leak
def connect_to_loopback_by_ipv6(world):
    return _said(socket.create_connection(("::1", world["tcp6_port"]), 2))


@leak
def connect_to_loopback_by_mapped_address(world):
    connection = socket.socket(socket.AF_INET6)
    connection.settimeout(2)
    connection.connect(("::ffff:127.0.0.1", world["tcp_port"]))
    return _said(connection)


@leak
def connect_to_any_address(world):
    return _said(socket.create_connection(("0.0.0.0", world["tcp_port"]), 2))


@leak
def connect_by_mptcp(world):
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    connection.settimeout(2)
    connection.connect(("127.0.0.1", world["tcp_port"]))
    return _said(connection)


@leak
def connect_by_fast_open(world):
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.sendto(b"x", 0x20000000, ("127.0.0.1", world["tcp_port"]))
    return _said(connection)


@probe
def send_datagram(world):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(world["mark"].encode(), ("127.0.0.1", world["udp_port"]))


@leak
def connect_to_abstract_socket(world):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(2)
    connection.connect("\0" + world["abstract"])
    return _said(connection)


@leak
def connect_to_socket_outside(world):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(2)
    connection.connect(world["outside"] + "/s")
    return _said(connection)


@probe
def send_to_datagram_socket_outside(world):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    connection.sendto(world["mark"].encode(), world["outside"] + "/d")


@probe
def open_machine_socket(world):
    socket.socket(40, socket.SOCK_STREAM).close()  # AF_VSOCK: no network namespace stops it
    return "opened"


@probe
def open_raw_socket(world):
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
    return "opened"


@probe
def open_packet_socket(world):
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
    return "opened"


@probe
def open_crypto_socket(world):
    socket.socket(38, socket.SOCK_SEQPACKET).close()  # AF_ALG: a large part of the kernel behind one call
    return "opened"


@probe
def find_route_out(world):
    probe_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    probe_socket.connect(("192.0.2.1", 9))  # a documentation address: a route is looked up, nothing is sent
    return probe_socket.getsockname()[0]


@probe
def see_network_devices(world):
    others = [name for _, name in socket.if_nameindex() if name != "lo"]
    return " ".join(others) or None


@probe
def take_port_of_the_host(world):
    listener = socket.socket()
    try:
        listener.bind(("127.0.0.1", world["tcp_port"]))
    except OSError:
        return "the port is taken: this is the host's loopback"
    return None
