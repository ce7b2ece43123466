"""Runs in the backend's container: does psycopg trust a server whose authority the system trusts?"""

import os
import socket
import ssl
import subprocess
import threading

import psycopg  # type: ignore[import-not-found]  # only the container has it

AUTHORITY = os.environ["SSL_CERT_FILE"]
command = f"req -x509 -newkey ed25519 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout /tmp/key -out {AUTHORITY}"
subprocess.run(["openssl", *command.split()], check=True, capture_output=True)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(AUTHORITY, "/tmp/key")
context.set_alpn_protocols(["postgresql"])


def serve() -> None:
    """Greet as a PostgreSQL server that speaks TLS, and hang up once the client trusts it."""
    client, _ = server.accept()
    client.recv(8)
    client.sendall(b"S")
    with context.wrap_socket(client, server_side=True) as encrypted:
        print("trusted, by", encrypted.recv(100)[8:].split(b"\0")[1].decode())


with socket.create_server(("127.0.0.1", 0)) as server:
    threading.Thread(target=serve).start()
    address = f"postgresql://somebody@localhost:{server.getsockname()[1]}/name?hostaddr=127.0.0.1"
    try:
        psycopg.connect(f"{address}&sslmode=verify-full&sslrootcert=system")
    except psycopg.OperationalError as error:
        print(error)
