"""A redis to try things with: `python -m app.redis`."""

from fakeredis import TcpFakeServer

if __name__ == "__main__":
    server = TcpFakeServer(("0.0.0.0", 6379), server_type="redis")
    print("taking connections", flush=True)
    server.serve_forever()
