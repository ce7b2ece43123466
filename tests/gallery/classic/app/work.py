"""The worker's tasks."""

import logging
import os

from celery import Celery

app = Celery("orders", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.broker_connection_retry_on_startup = True


@app.task
def pack(order: int) -> str:
    logging.getLogger(__name__).warning("order %d is packed", order)
    return f"order {order} is in its box"
