"""Asks http://HOST:PORT/PATH; exits with 0 if the answer is 200. Without curl, and light enough for every probe."""

import socket
import sys

url = sys.argv[1]
host, _, path = url.removeprefix("http://").partition("/")
name, _, port = host.rpartition(":")
try:
    with socket.create_connection((name.strip("[]"), int(port)), timeout=2) as connection:
        connection.sendall(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        status = connection.recv(12)
except OSError as error:
    status = str(error).encode()
print(f"{url}: {status.decode(errors='replace')}")
sys.exit(not status.endswith(b" 200"))
