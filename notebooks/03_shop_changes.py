# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # An online shop: from tables to topics to a joined view
#
# A shop keeps customers, products and orders in PostgreSQL, and is busy. We turn its
# tables into topics that hold every row and every change, fill a second database from
# the topics, join there what the shop keeps apart, watch how old the view is, and add
# a column to the shop while all of it runs. At the end the two databases are compared
# row by row.
#
# ```
#  database shop            Kafka                    database warehouse
#  customers ─┐         ┌─► shop.customers ─► customers ─┐
#  products  ─┼─► slot ─┼─► shop.products  ─► products  ─┼─► view order_lines
#  orders    ─┘         └─► shop.orders    ─► orders    ─┘
# ```

# %%
# %load_ext streamlab

# %% tags=["parameters"]
RATE: int = 200  # 1..2_000: transactions a second that the shop makes
CUSTOMERS: int = 2_000  # 10..1_000_000: how many there are at the beginning
ORDERS: int = 20_000  # 10..1_000_000: how many there are at the beginning

# %% [markdown]
# ## A shop
#
# Both databases are made on the PostgreSQL that `streamlab up` started. Their addresses
# go into the environment: pipelines name them as `${env:SHOP_DSN}`, so that no address
# and no password is in a notebook, a file or a log.

# %%
import os

import psycopg
from psycopg.conninfo import make_conninfo

import streamlab as sl
from streamlab.settings import Settings

server = Settings.load().profile().postgres["dsn"]
for name in ("server", "shop", "warehouse"):
    dsn = server if name == "server" else make_conninfo(server, dbname=name)
    os.environ[f"{name.upper()}_DSN"] = dsn


def run(database, *statements):
    """Run SQL in a database; return the rows of the last statement, if it has any."""
    dsn = os.environ[f"{database.upper()}_DSN"]
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else None


# %% [markdown]
# What an earlier run has left goes first, so that this notebook can be run again.

# %%
from confluent_kafka.admin import AdminClient

broker = AdminClient(Settings.load().profile().kafka)
left = [name for name in broker.list_topics().topics if name.startswith("shop.")]
for deleted in broker.delete_topics(left).values() if left else ():
    deleted.result()
run(
    "server",
    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
    "WHERE database = 'shop'",
    "DROP DATABASE IF EXISTS shop WITH (FORCE)",
    "DROP DATABASE IF EXISTS warehouse WITH (FORCE)",
    "CREATE DATABASE shop",
    "CREATE DATABASE warehouse",
)

# %%
run(
    "shop",
    """
    CREATE TABLE customers (
        id int PRIMARY KEY, name text NOT NULL, email text NOT NULL, city text NOT NULL)
    """,
    """
    CREATE TABLE products (
        id int PRIMARY KEY, name text NOT NULL, price numeric(8, 2) NOT NULL)
    """,
    """
    CREATE TABLE orders (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        customer int NOT NULL REFERENCES customers,
        product int NOT NULL REFERENCES products,
        quantity int NOT NULL,
        status text NOT NULL DEFAULT 'placed')
    """,
    f"""
    INSERT INTO customers SELECT i, 'customer ' || i, 'c' || i || '@shop.example',
        (ARRAY['Lisbon', 'Oslo', 'Lagos', 'Lima', 'Kyoto', 'Quito'])[1 + i % 6]
    FROM generate_series(1, {CUSTOMERS}) i
    """,
    "INSERT INTO products SELECT i, 'product ' || i, 5 + i * 1.25 "
    "FROM generate_series(1, 50) i",
    f"""
    INSERT INTO orders (customer, product, quantity)
    SELECT 1 + i * 7 % {CUSTOMERS}, 1 + i * 3 % 50, 1 + i % 4
    FROM generate_series(1, {ORDERS}) i
    """,
)

# %% [markdown]
# The shop works in a thread: people order, orders are paid, shipped, delivered or
# cancelled, customers move, prices rise. What it does follows from the seed, and each
# step is a transaction.

# %%
import random
import threading
import time

CITIES = ("Lisbon", "Oslo", "Lagos", "Lima", "Kyoto", "Quito")


class Shop(threading.Thread):
    """People at work, a stated number of transactions a second."""

    def __init__(self, rate, seed=7):
        super().__init__(daemon=True)
        self.rate, self.chance = rate, random.Random(seed)
        self.transactions, self.closed = 0, threading.Event()
        self.wraps_gifts = False

    def run(self):
        with psycopg.connect(os.environ["SHOP_DSN"], autocommit=True) as self.database:
            due = time.monotonic()
            while not self.closed.wait(max(0.0, due - time.monotonic())):
                self.step()
                self.transactions += 1
                # After a pause it goes on at its rate: no rush to make up for it.
                due = max(due, time.monotonic() - 0.1) + 1 / self.rate

    def step(self):
        chance, do = self.chance, self.database.execute
        order = ORDERS - chance.randrange(1_000) + self.transactions // 2
        match chance.choices(
            ("order", "advance", "cancel", "move", "price"), (50, 35, 5, 8, 2)
        ):
            case ["order"]:
                self.order()
            case ["advance"]:
                do(
                    "UPDATE orders SET status = CASE status WHEN 'placed' THEN 'paid' "
                    "WHEN 'paid' THEN 'shipped' ELSE 'delivered' END WHERE id = %s",
                    [order],
                )
            case ["cancel"]:
                do("DELETE FROM orders WHERE id = %s AND status = 'placed'", [order])
            case ["move"]:
                city, customer = chance.choice(CITIES), 1 + chance.randrange(CUSTOMERS)
                do("UPDATE customers SET city = %s WHERE id = %s", [city, customer])
            case ["price"]:
                product = 1 + chance.randrange(50)
                do("UPDATE products SET price = price + 0.05 WHERE id = %s", [product])

    def order(self):
        columns = {
            "customer": 1 + self.chance.randrange(CUSTOMERS),
            "product": 1 + self.chance.randrange(50),
            "quantity": 1 + self.chance.randrange(4),
        }
        if self.wraps_gifts:
            columns["gift"] = self.chance.random() < 0.3
        places = ", ".join(["%s"] * len(columns))
        self.database.execute(
            f"INSERT INTO orders ({', '.join(columns)}) VALUES ({places})",
            list(columns.values()),
        )


shop = Shop(RATE)
shop.start()

# %% [markdown]
# ## Ask the doctor
#
# Can this database be read as a stream of changes? The doctor tests what that needs,
# each thing by itself, changes nothing, and has the SQL for what is missing. In a
# terminal it is `streamlab doctor postgres`.

# %%
tables = ("public.customers", "public.products", "public.orders")
sl.doctor.postgres(dsn="${env:SHOP_DSN}", tables=tables)

# %% [markdown]
# ## Tables to topics
#
# One pipeline reads the three tables: first the rows that are there, then, without gap
# or overlap, every change in the order of commits. It finds its place again by a
# *replication slot* of the database, whatever dies in between. Each change goes to the
# topic of its table, keyed by the primary key. The values are JSON already, so the sink
# writes them as they are: `format="bytes"`.

# %%
from pathlib import Path

source = sl.PostgresSource(tables=tables, dsn="${env:SHOP_DSN}")
to_topics = sl.Pipeline(
    name="shop",
    inputs=[sl.Input(source, source.format, source.schema())],
    sink=sl.KafkaSink("shop.{_table}", format="bytes", partitions=1),
    dead_letters=sl.DeadLetters(file=Path("dead.jsonl")),
)
to_topics

# %% [markdown]
# `sl.start` runs it in a process of its own. `sl.forget` makes that its first run, in
# case this notebook was cut short before.

# %%
pipelines, workers = {}, {}


def start(pipeline):
    """Start a worker of a pipeline that nothing is known of."""
    sl.forget(pipeline)
    pipelines[pipeline.name] = pipeline
    workers[pipeline.name] = sl.start(pipeline)


start(to_topics)


def wait_until(done, seconds=60):
    """Wait for something, but not forever."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"it is not so after {seconds} s")
        time.sleep(0.1)


def caught_up(*names):
    """Say whether workers have read and written all there is; false while they start."""
    try:
        told = [workers[name].status() for name in names]
    except sl.StreamlabError:
        return False
    return all(one.lag and sum(one.lag.values()) == 0 for one in told)


wait_until(lambda: caught_up("shop"))

# %%
# %topics shop.*

# %%
# %tap shop.orders --last 2000 --as orders

# %% [markdown]
# `_op` says what happened to a row, `_commit_time` when the shop committed it, and
# `_unavailable` which large values the database did not send, because they did not
# change. What has been going on:

# %%
import polars as pl

orders.frame.group_by("_op", "status").agg(pl.len().alias("changes")).sort(
    "changes", descending=True
)

# %% [markdown]
# ## Topics to a second database
#
# A pipeline for each topic keeps a table in `warehouse` as it is in the shop: the sink
# does to the row what `_op` says, deletes included. The schema says what is read, and
# with which types: what it does not name, like the customers' e-mail addresses, never
# reaches the warehouse. `event_time` is what the age of a row is measured from.


# %%
def mirror(table, into="", **columns):
    """Return the pipeline from a table's topic to the warehouse."""
    described = {
        "_op": pl.String(),
        "_commit_time": pl.Datetime("us", "UTC"),
        "_unavailable": pl.List(pl.String()),
    }
    schema = sl.Schema.of({**columns, **described}, table)
    topic = sl.KafkaSource(f"shop.{table}")
    into = into or table
    return sl.Pipeline(
        name=into,
        inputs=[sl.Input(topic, "json", schema, event_time="_commit_time")],
        sink=sl.PostgresSink(
            into, mode="changes", key="id", dsn="${env:WAREHOUSE_DSN}"
        ),
        dead_letters=sl.DeadLetters(file=Path("dead.jsonl")),
    )


number, text = pl.Int64(), pl.String()
of_order = {
    "id": number,
    "customer": number,
    "product": number,
    "quantity": number,
    "status": text,
}
start(mirror("customers", id=number, name=text, city=text))
start(mirror("products", id=number, name=text, price=pl.Decimal(8, 2)))
start(mirror("orders", **of_order))
wait_until(lambda: caught_up(*workers))
workers["orders"].status()

# %% [markdown]
# The view joins them. Each table is mirrored by itself, so the view is **eventually
# consistent**: for some milliseconds an order can be there with the old price of its
# product. When the shop is quiet, both sides are equal; we come to that.

# %%
VIEW = """
    SELECT o.id, c.name AS customer, c.city, p.name AS product, o.quantity,
        o.quantity * p.price AS amount, o.status
    FROM orders o JOIN customers c ON c.id = o.customer JOIN products p ON p.id = o.product
"""
run("warehouse", f"CREATE VIEW order_lines AS {VIEW}")
pl.DataFrame(
    run(
        "warehouse",
        "SELECT city, count(*), sum(amount) FROM order_lines GROUP BY city ORDER BY city",
    ),
    schema=["city", "orders", "amount"],
    orient="row",
)

# %% [markdown]
# ## How old is the view?
#
# From the commit in the shop, through the slot, the topic and two workers, to the commit
# in the warehouse: live in JupyterLab, as a picture elsewhere. What waited while the
# workers started is not counted, only what comes from now on.

# %%
# %latency orders

# %%
# %throughput shop.orders shop.customers shop.products --pipeline shop

# %% [markdown]
# ## A column, under load
#
# The shop begins to wrap gifts, and does not ask us. A column that is added passes: the
# topic has it from the next change on. Anything else, a column that is renamed or gets
# another type, would stop the pipeline before the first row that it concerns.

# %%
run("shop", "ALTER TABLE orders ADD COLUMN gift boolean")
shop.wraps_gifts = True
time.sleep(1)
latest = sl.tap("shop.orders", last=100)
latest.frame.select("id", "status", "gift", "_op").filter(
    pl.col("gift").is_not_null()
).head(5)

# %% [markdown]
# The warehouse goes on without it, as its schema says. To have it there, too, a second
# mirror is filled from the beginning of the topic, and the view moves over when it has
# caught up. Nobody who reads the view waits.

# %%
start(mirror("orders", into="orders_with_gift", **of_order, gift=pl.Boolean()))
wait_until(lambda: caught_up(*workers))
NEW_VIEW = VIEW.replace("o.status", "o.status, o.gift")
run(
    "warehouse",
    f"CREATE OR REPLACE VIEW order_lines AS {NEW_VIEW.replace('orders o', 'orders_with_gift o')}",
)
workers.pop("orders").stop()
run("warehouse", "SELECT gift, count(*) FROM order_lines GROUP BY gift ORDER BY gift")

# %% [markdown]
# ## The proof
#
# The shop closes, the pipelines catch up, and the same query is asked of both sides.

# %%
shop.closed.set()
shop.join()


def lines(database, query):
    return pl.DataFrame(
        run(database, f"{query} ORDER BY id"), orient="row", infer_schema_length=None
    )


truth = lines("shop", NEW_VIEW)
wait_until(lambda: lines("warehouse", "SELECT * FROM order_lines").equals(truth))
view = lines("warehouse", "SELECT * FROM order_lines")
assert view.equals(truth)
pl.DataFrame(
    {
        "transactions of the shop": [shop.transactions],
        "rows in the shop": [truth.height],
        "rows in the view": [view.height],
        "rows that differ": [
            view.join(truth, on=view.columns, how="anti", nulls_equal=True).height
        ],
    }
)

# %% [markdown]
# ## Leave nothing behind
#
# A slot that nobody reads makes its server keep the log until the disk is full. So a
# pipeline that is not needed any more is forgotten, not only stopped. Topics and tables
# stay, to be looked at.

# %%
for worker in workers.values():
    worker.stop()
for pipeline in pipelines.values():
    sl.forget(pipeline)
slots = run(
    "server", "SELECT slot_name FROM pg_replication_slots WHERE database = 'shop'"
)
assert not slots
slots
