"""Asks a URL and exits with 0 if the answer is 200: a health check without curl, and light enough for every probe."""

import socket
import sys


def main(url: str) -> int:
    host, _, path = url.removeprefix("http://").partition("/")
    name, colon, port = host.rpartition(":")
    if not colon or port.endswith("]"):  # no port; the colon is an IPv6 address's
        name, port = host, "80"
    request = f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((name.strip("[]"), int(port)), timeout=2) as connection:
            connection.sendall(request.encode())
            status = connection.recv(12)
    except OSError as error:
        print(f"{url}: {error}")
        return 1
    print(f"{url}: {status.decode(errors='replace')}")
    return 0 if status.endswith(b" 200") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
