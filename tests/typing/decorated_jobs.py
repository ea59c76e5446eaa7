"""`@background` gives `.enqueue(...)` the types of the callable's own parameters."""

from typing import assert_type

from lateshift import (
    BackgroundJob,
    Job,
    alist_jobs,
    await_for_job,
    background,
    get_job,
    run_background_job,
    wait_for_job,
)


@background
def send_receipt(order_id: int, to: str = "") -> str:
    return f"{order_id} {to}"


@background(queue="mail", priority=5)
async def send_mail(to: str) -> None: ...


@background(transactional=True)
def pay(order_id: int) -> None: ...


@background(transactional="django")
class Refund:
    def handle(self, order_id: int) -> None: ...


class ProcessOrder:
    def handle(self, order_id: int) -> None: ...


class ShipOrder(BackgroundJob):
    priority = 5

    def handle(self, order_id: int) -> None: ...


class Plain:
    def handle(self, *, name: str) -> None: ...


class Mailer:
    @background
    def send(self, to: str) -> str:
        return to

    @staticmethod
    @background
    def check(to: str) -> bool:
        return bool(to)

    def twice(self) -> None:
        assert_type(self.send("a@example.com"), str)
        self.send(1)  # error: incompatible type "int"; expected "str"
        self.send.enqueue("a@example.com")  # error: has no attribute "enqueue"


# mypy leaves a class as it was before its decorators (python/mypy#3135); pyright does not. So: without the @.
process_order = background(timeout=60)(ProcessOrder)
plain = background(Plain)

assert_type(send_receipt.enqueue(1), str)
assert_type(send_receipt.enqueue(order_id=1, to="a@example.com"), str)
assert_type(send_receipt(1), str)
assert_type(send_receipt.options(delay=60, priority=9).enqueue(1), str)
assert_type(send_receipt.options(connection=object()).enqueue(1), str)
send_receipt.enqueue("1")  # error: incompatible type "str"; expected "int"
send_receipt.enqueue()  # error: Missing positional argument "order_id"
send_receipt.enqueue(1, cc="b@example.com")  # error: Unexpected keyword argument "cc"
send_receipt.options(delay="soon")  # error: incompatible type "str"
send_receipt.options(delay=60).enqueue("1")  # error: incompatible type "str"; expected "int"

send_receipt.delay(1)  # error: has no attribute "delay"

assert_type(pay.enqueue(order_id=1), str)
pay.enqueue(order_id="1")  # error: incompatible type "str"; expected "int"
background(transactional="peewee")  # error: No overload variant

assert_type(send_mail.enqueue(to="a@example.com"), str)
send_mail.enqueue(to=1)  # error: incompatible type "int"; expected "str"

assert_type(Mailer().send("a@example.com"), str)
assert_type(Mailer.check("a@example.com"), bool)
assert_type(Mailer.check.enqueue(to="a@example.com"), str)
Mailer.check.enqueue(to=1)  # error: incompatible type "int"; expected "str"

assert_type(process_order.enqueue(order_id=1), str)
process_order.enqueue(order_id="1")  # error: incompatible type "str"; expected "int"
process_order.enqueue()  # error: Missing positional argument "order_id"
process_order.options(priority=1).enqueue(order_id=1, to="")  # error: Unexpected keyword argument "to"
assert_type(ShipOrder.enqueue(1), str)
ShipOrder.enqueue("1")  # error: incompatible type "str"; expected "int"
ShipOrder.enqueue(order=1)  # error: Unexpected keyword argument "order"
ShipOrder.options(delay=1).enqueue(order_id="1")  # error: incompatible type "str"; expected "int"
plain.enqueue(name="a")
plain.enqueue(name=1)  # error: incompatible type "int"; expected "str"


async def in_async_code() -> None:
    assert_type(await send_receipt.aenqueue(1), str)
    await send_receipt.aenqueue("1")  # error: incompatible type "str"; expected "int"
    await process_order.aenqueue(name=1)  # error: Unexpected keyword argument "name"
    assert_type(await alist_jobs(status="failed", limit=5), list[Job])
    await alist_jobs(limit="all")  # error: incompatible type "str"; expected "int"
    assert_type(await await_for_job("0", check=True), Job)
    await alist_jobs(state="failed")  # error: Unexpected keyword argument "state"


assert_type(run_background_job("app.jobs.ProcessOrder", "handle", {"order_id": 1}, priority=5, delay=60), str)
run_background_job("app.jobs.ProcessOrder", priority="high")  # error: incompatible type "str"
assert_type(get_job("0").attempts, int)
assert_type(wait_for_job("0", 10, check=True), Job)
wait_for_job("0", 10, True)  # error: Too many positional arguments
