// As process 1 a program without a handler of its own would not hear that it is to stop.
for (const [name, number] of [
  ["SIGTERM", 15],
  ["SIGINT", 2],
])
  process.on(name, () => process.listenerCount(name) > 1 || process.exit(128 + number));
