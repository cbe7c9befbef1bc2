-- Makes one checkpoint of a new subscription. Takes the write lock. Goes by the primary key. ?1 subscription, ?2 partition,
-- ?3 position, ?4 open positions, ?5 proof, ?6 epoch.
INSERT INTO outbox_checkpoint (subscription, partition_id, position, open_positions, proof, epoch)
VALUES (?1, ?2, ?3, ?4, ?5, ?6);
