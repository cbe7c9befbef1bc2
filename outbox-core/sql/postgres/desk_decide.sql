-- Brings letters from one of the states in $3 to the state $4, notes who did it, and tells the relay. Of several operators the
-- row lock lets one be first. Takes ROW EXCLUSIVE on outbox_dead_letter and outbox_meta; uses their primary keys.
WITH decided AS (
    UPDATE outbox_dead_letter
    SET state = $4, settled_by = coalesce($5, settled_by), settled_reason = coalesce($6, settled_reason),
        settled_at = clock_timestamp(),
        original_payload = CASE WHEN $7::bytea IS NULL THEN original_payload ELSE coalesce(original_payload,
            payload_binary, convert_to(coalesce(payload, ''), pg_client_encoding())) END,
        payload = CASE WHEN $7 IS NULL THEN payload WHEN payload_binary IS NULL THEN convert_from($7, pg_client_encoding()) END,
        payload_binary = CASE WHEN $7 IS NULL OR payload_binary IS NULL THEN payload_binary ELSE $7 END,
        readable = readable OR $7 IS NOT NULL
    WHERE subscription = $1 AND position = ANY ($2::bigint[]) AND state = ANY ($3::text[])
    RETURNING position
), told AS (
    INSERT INTO outbox_meta AS stored (name, value)
    SELECT 'letters:' || $1, '1' FROM decided LIMIT 1
    ON CONFLICT (name) DO UPDATE SET value = (stored.value::bigint + 1)::text
)
SELECT position FROM decided ORDER BY position
