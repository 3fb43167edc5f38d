"""The oracle: every query as DuckDB SQL over all events at once.

It knows nothing of streamlab, of windows as operators, or of time passing. Times are
milliseconds since 1970 UTC, window starts too.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import polars as pl

WINDOW_MS = 10_000
HOP_MS = 2_000
DAY_MS = 86_400_000
RANK_1, RANK_2 = 10_000, 1_000_000  # prices that part the ranks of q15 to q17


def _window(column: str = "date_time", size: int = WINDOW_MS) -> str:
    return f"{column} // {size} * {size}"


_RANKS = f"""
    count(*) AS total_bids,
    count(*) FILTER (price < {RANK_1}) AS rank1_bids,
    count(*) FILTER (price >= {RANK_1} AND price < {RANK_2}) AS rank2_bids,
    count(*) FILTER (price >= {RANK_2}) AS rank3_bids"""
_DISTINCT = f"""
    count(DISTINCT bidder) AS total_bidders,
    count(DISTINCT bidder) FILTER (price < {RANK_1}) AS rank1_bidders,
    count(DISTINCT bidder) FILTER (price >= {RANK_1} AND price < {RANK_2})
        AS rank2_bidders,
    count(DISTINCT bidder) FILTER (price >= {RANK_2}) AS rank3_bidders,
    count(DISTINCT auction) AS total_auctions,
    count(DISTINCT auction) FILTER (price < {RANK_1}) AS rank1_auctions,
    count(DISTINCT auction) FILTER (price >= {RANK_1} AND price < {RANK_2})
        AS rank2_auctions,
    count(DISTINCT auction) FILTER (price >= {RANK_2}) AS rank3_auctions"""
_WINNING = """
    SELECT * FROM (
        SELECT a.*, b.bidder, b.price, b.date_time AS bid_time,
            row_number() OVER (
                PARTITION BY a.id ORDER BY b.price DESC, b.date_time, b.bidder
            ) AS place
        FROM auctions a JOIN bids b ON a.id = b.auction
            AND b.date_time BETWEEN a.date_time AND a.expires
    ) WHERE place = 1"""

SQL: Mapping[str, str] = {
    "q0": "SELECT auction, bidder, price, date_time, extra FROM bids",
    "q1": "SELECT auction, bidder, 0.908::DOUBLE * price AS price, date_time, extra "
    "FROM bids",
    "q2": "SELECT auction, price FROM bids WHERE auction % 123 = 0",
    "q3": """
        SELECT p.name, p.city, p.state, a.id FROM auctions a
        JOIN persons p ON a.seller = p.id
        WHERE a.category = 10 AND p.state IN ('OR', 'ID', 'CA')""",
    "q4": f"SELECT category, avg(price) AS price FROM ({_WINNING}) GROUP BY category",
    "q5": f"""
        WITH hops AS (
            SELECT auction, {_window(size=HOP_MS)} - hop * {HOP_MS} AS window_start
            FROM bids, range({WINDOW_MS // HOP_MS}) AS hops(hop)
        ), counted AS (
            SELECT window_start, auction, count(*) AS num FROM hops GROUP BY ALL
        )
        SELECT window_start, auction, num FROM counted
        QUALIFY num = max(num) OVER (PARTITION BY window_start)""",
    "q7": f"""
        SELECT auction, price, bidder, date_time, extra FROM bids
        QUALIFY price = max(price) OVER (PARTITION BY {_window()})""",
    "q8": f"""
        SELECT DISTINCT p.id, p.name, {_window("p.date_time")} AS window_start
        FROM persons p JOIN auctions a ON p.id = a.seller
            AND {_window("p.date_time")} = {_window("a.date_time")}""",
    "q9": f"""
        SELECT id, item, description, initial_bid, reserve, date_time, expires, seller,
            category, extra, bidder, price, bid_time FROM ({_WINNING})""",
    "q11": f"""
        WITH marked AS (
            SELECT bidder, date_time, coalesce(date_time - lag(date_time) OVER times
                >= {WINDOW_MS}, true) AS begins
            FROM bids WINDOW times AS (PARTITION BY bidder ORDER BY date_time)
        ), numbered AS (
            SELECT bidder, date_time,
                sum(begins::INT) OVER (PARTITION BY bidder ORDER BY date_time) AS n
            FROM marked
        )
        SELECT bidder, count(*) AS bids, min(date_time) AS window_start,
            max(date_time) + {WINDOW_MS} AS window_end
        FROM numbered GROUP BY bidder, n""",
    "q12": f"""
        SELECT bidder, count(*) AS bids, {_window("arrived")} AS window_start
        FROM arrivals GROUP BY ALL""",
    "q13": """
        SELECT b.auction, b.bidder, b.price, b.date_time, s.value FROM bids b
        JOIN side s ON b.auction % 100 = s.key""",
    "q14": """
        SELECT auction, bidder, 0.908::DOUBLE * price AS price,
            CASE WHEN hour BETWEEN 8 AND 18 THEN 'dayTime'
                 WHEN hour <= 6 OR hour >= 20 THEN 'nightTime'
                 ELSE 'otherTime' END AS time_type,
            date_time, len(extra) - len(replace(extra, 'c', '')) AS c_counts
        FROM (SELECT *, date_time // 3600000 % 24 AS hour FROM bids)
        WHERE 0.908::DOUBLE * price > 1000000 AND 0.908::DOUBLE * price < 50000000""",
    "q15": f"SELECT {_window(size=DAY_MS)} AS day, {_RANKS}, {_DISTINCT} "
    "FROM bids GROUP BY day",
    "q16": f"""
        SELECT channel, {_window(size=DAY_MS)} AS day,
            max(strftime(make_timestamp(date_time * 1000), '%H:%M')) AS minute,
            {_RANKS}, {_DISTINCT} FROM bids GROUP BY channel, day""",
    "q17": f"""
        SELECT auction, {_window(size=DAY_MS)} AS day, {_RANKS},
            min(price) AS min_price, max(price) AS max_price, avg(price) AS avg_price,
            sum(price)::BIGINT AS sum_price
        FROM bids GROUP BY auction, day""",
    "q18": """
        SELECT auction, bidder, price, channel, url, date_time, extra FROM bids
        QUALIFY row_number() OVER (
            PARTITION BY bidder, auction ORDER BY date_time DESC) = 1""",
    "q19": """
        SELECT auction, bidder, price, date_time, extra FROM bids
        QUALIFY row_number() OVER (
            PARTITION BY auction ORDER BY price DESC, date_time) <= 10""",
    "q20": """
        SELECT b.auction, b.bidder, b.price, b.channel, b.date_time AS bid_time,
            a.item, a.initial_bid, a.seller, a.category
        FROM bids b JOIN auctions a ON b.auction = a.id WHERE a.category = 10""",
    "q22": """
        SELECT auction, bidder, price, channel, split_part(url, '/', 4) AS dir1,
            split_part(url, '/', 5) AS dir2, split_part(url, '/', 6) AS dir3
        FROM bids""",
}
"""Query → its SQL over ``persons``, ``auctions``, ``bids``, ``side`` (q13) and
``arrivals`` (q12: each bid's bidder, and when the broker took it)."""


def answers(frames: Mapping[str, pl.DataFrame], query: str) -> pl.DataFrame:
    """Return the right rows of a query.

    Args:
        frames: Name of a table in the SQL → its rows.
        query: Its name.
    """
    with duckdb.connect() as connection:
        for name, frame in frames.items():
            connection.register(name, frame.to_arrow())
        return pl.DataFrame(connection.sql(SQL[query]).to_arrow_table())
