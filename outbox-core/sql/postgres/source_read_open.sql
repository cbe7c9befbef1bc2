-- Reads the log above a position and what has appeared in the open ranges below it. Takes ACCESS SHARE on the log and its
-- segments; scans the primary key of each segment: once in order above the position, once for each open range.
-- Joining the ranges in any other way makes the planner read the whole log. Ranges that lie close together come as one
-- span ($5, $6), for a probe costs more than passing over the few rows between them; $7 says what in it is missing.
WITH missing AS MATERIALIZED (
    SELECT $7::text::int8multirange AS positions
), filled AS MATERIALIZED (
    SELECT event.*
    FROM unnest($5::bigint[], $6::bigint[]) AS span (first, last)
    CROSS JOIN LATERAL (
        SELECT *, /* wanted */ true /* end */ AND /* mine */ true /* end */ AS wanted
        FROM outbox_event /* hashed */
        WHERE position BETWEEN span.first AND span.last AND position <@ (SELECT positions FROM missing)
        ORDER BY position LIMIT $2 OFFSET 0
    ) event
    ORDER BY position LIMIT $2
), sized AS MATERIALIZED (
    SELECT position, CASE WHEN wanted THEN coalesce(octet_length(payload), 0) + coalesce(octet_length(old_payload), 0)
            + coalesce(octet_length(payload_binary), 0) + coalesce(octet_length(old_payload_binary), 0)
            + octet_length(topic) + octet_length(event_key) + coalesce(octet_length(headers), 0)
            + coalesce(octet_length(event_type), 0) + coalesce(octet_length(aggregate_type), 0)
            + coalesce(octet_length(tenant_id), 0) + coalesce(octet_length(actor), 0)
        ELSE 0 END AS size
    FROM filled
    UNION ALL (
        SELECT position, CASE WHEN /* wanted */ true /* end */
            THEN coalesce(octet_length(payload), 0) + coalesce(octet_length(old_payload), 0)
                + coalesce(octet_length(payload_binary), 0) + coalesce(octet_length(old_payload_binary), 0)
                + octet_length(topic) + octet_length(event_key) + coalesce(octet_length(headers), 0)
                + coalesce(octet_length(event_type), 0) + coalesce(octet_length(aggregate_type), 0)
                + coalesce(octet_length(tenant_id), 0) + coalesce(octet_length(actor), 0)
            ELSE 0 END AS size
        FROM outbox_event WHERE $4 AND position > $1 ORDER BY position LIMIT $2
    )
    ORDER BY position LIMIT $2
), page AS MATERIALIZED (
    SELECT max(position) AS last, sum(size) AS bytes FROM sized
), cut AS MATERIALIZED (
    SELECT page.last AS page_last, CASE WHEN page.bytes <= $3 THEN page.last ELSE (
        SELECT max(position)
        FROM (SELECT position, size, sum(size) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) AS running FROM sized) summed
        WHERE running <= $3 OR running = size
    ) END AS last
    FROM page
)
SELECT position,
    event_id,
    occurred_at,
    schema_version,
    wanted,
    (SELECT last < page_last FROM cut) AS shortened,
    (SELECT pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_insert_lsn() END, '0/0')::bigint) AS inserted,
    CASE WHEN wanted THEN topic END AS topic,
    CASE WHEN wanted THEN event_key END AS event_key,
    CASE WHEN wanted THEN event_type END AS event_type,
    CASE WHEN wanted THEN aggregate_type END AS aggregate_type,
    CASE WHEN wanted THEN operation END AS operation,
    CASE WHEN wanted THEN payload END AS payload,
    CASE WHEN wanted THEN old_payload END AS old_payload,
    CASE WHEN wanted THEN payload_binary END AS payload_binary,
    CASE WHEN wanted THEN old_payload_binary END AS old_payload_binary,
    CASE WHEN wanted THEN content_type END AS content_type,
    CASE WHEN wanted THEN headers END AS headers,
    CASE WHEN wanted THEN tenant_id END AS tenant_id,
    CASE WHEN wanted THEN actor END AS actor,
    CASE WHEN wanted THEN transaction_id END AS transaction_id
FROM (
    SELECT * FROM filled WHERE position <= (SELECT last FROM cut)
    UNION ALL (
        SELECT *, /* wanted */ true /* end */ AND /* mine */ true /* end */ AS wanted
        FROM outbox_event /* hashed */ WHERE $4 AND position > $1 AND position <= (SELECT last FROM cut) ORDER BY position LIMIT $2
    )
) event
ORDER BY position LIMIT $2
