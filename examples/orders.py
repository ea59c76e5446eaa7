"""A script with its own jobs: `python orders.py`. Nothing else has to be started."""

from lateshift import background, configure, get_job, wait_for_job

# One list for all the examples: those that run in one folder share a runner, which has the list of whoever started it.
configure(allowed=["orders", "retries", "web"])


@background(priority=5, retry=[1, 10, 60])
def process_order(order_id: int) -> str:
    """Do the work of one order."""
    return f"order {order_id} processed"


if __name__ == "__main__":
    job_id = process_order.enqueue(order_id=123)
    print(get_job(job_id).status)
    print(wait_for_job(job_id, timeout=20, check=True).result)
