import signal
import threading

ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
print("waiting for jobs", flush=True)
while not ended.wait(1):
    pass
print("ended", flush=True)
