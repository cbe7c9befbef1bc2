-- Per segment and reader the first event among the reader's open positions; $1, $2 and $3 are the segments and their ends.
-- Takes ACCESS SHARE on the log and its segments and on outbox_checkpoint; scans a primary key once for each open range that
-- reaches into its segment.
SELECT asked.segment, checkpoint.subscription, min(found.position) AS position
FROM unnest($1::smallint[], $2::bigint[], $3::bigint[]) AS asked (segment, first, last)
CROSS JOIN outbox_checkpoint AS checkpoint
CROSS JOIN LATERAL unnest(
    checkpoint.open_positions::int8multirange * int8multirange(int8range(asked.first, asked.last, '[]'))
) AS open (positions)
CROSS JOIN LATERAL (
    SELECT position FROM outbox_event
    WHERE segment = asked.segment AND position >= lower(open.positions) AND position < upper(open.positions)
    ORDER BY position LIMIT 1
) AS found
GROUP BY asked.segment, checkpoint.subscription
