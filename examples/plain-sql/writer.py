"""A writer in another language: plain SQL in the business transaction, no library of ours.

Only topic, event_key and payload are required. Usage: writer.py shop.db
"""

import json
import sqlite3
import sys

shop = sqlite3.connect(sys.argv[1], isolation_level=None)
shop.execute("CREATE TABLE IF NOT EXISTS stock (item TEXT PRIMARY KEY, amount INTEGER NOT NULL)")


def set_stock(item, amount):
    """Changes a row and tells of it, both or neither."""
    shop.execute("BEGIN IMMEDIATE")
    try:
        shop.execute(
            "INSERT INTO stock VALUES (?, ?) ON CONFLICT (item) DO UPDATE SET amount = excluded.amount", (item, amount)
        )
        shop.execute(
            "INSERT INTO outbox_event (topic, event_key, payload) VALUES (?, ?, ?)",
            ("shop.stock", item, json.dumps({"item": item, "amount": amount})),
        )
        if amount < 0:
            raise ValueError(f"there cannot be {amount} {item}")
        shop.execute("COMMIT")
    except BaseException:
        shop.execute("ROLLBACK")
        raise


set_stock("tea", 5)
set_stock("cake", 2)
try:
    set_stock("tea", -1)
except ValueError as refused:
    print(f"rolled back: {refused}", file=sys.stderr)
set_stock("tea", 4)
