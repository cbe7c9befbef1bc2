//! What every backend must do, written once.
//!
//! A backend hands itself in by implementing [`Backend`] and naming itself to [`conformance!`](crate::conformance!), and one
//! that is asked in SQL [`SqlBackend`] and to [`sql_conformance!`](crate::sql_conformance!) as well; each behaviour is then a
//! test of its own, on a database of its own. The modules follow the way of the data:
//!
//! ```text
//! capture ─► source ─► publisher ─► checkpoint ─► cleanup        lease and relay hold them together, continuity guards restarts
//!               └────► changelog, export
//! ```
//!
//! Waits are signals, or conditions polled until a deadline ([`waiting`]); no behaviour sleeps and hopes.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "this is a test suite: what does not hold panics, and says where"
)]

use outbox_core::testing::Captured;
use outbox_core::{Entity, Names, NewEvent, Outbox, Store};
use outbox_sqlx::AppendError;
use serde::Serialize;
use sqlx::{Database, Transaction};
use uuid::Uuid;

use self::adapter::Adapter;

pub mod adapter;
pub mod blocking;
pub mod capture;
pub mod changelog;
pub mod checkpoint;
pub mod cleanup;
pub mod commit_order;
pub mod context;
pub mod continuity;
mod corpus;
pub mod draining;
pub mod export;
pub mod files;
pub mod glance;
pub mod hostile;
pub mod interposed;
pub mod lease;
pub mod log;
pub mod max_disk;
pub mod memory;
pub mod mending;
pub mod network;
pub mod parking;
pub mod partitions;
pub mod pooler;
pub mod postgres;
pub mod publisher;
pub mod relay;
pub mod replay;
pub mod roles;
pub mod row_security;
pub mod segments;
pub mod server_settings;
pub mod sink;
pub mod source;
pub mod sqlite;
pub mod stopping;
pub mod trouble;
pub mod unexpected;
pub mod waiting;
pub mod wake;

/// A fresh outbox, which nobody else uses.
#[expect(async_fn_in_trait, reason = "the behaviours run on one task, which need not move between threads")]
pub trait Backend: Sized {
    /// What a relay reads it through.
    type Store: Store + Clone;
    /// A business transaction.
    type Transaction<'t>: Business;

    /// Makes it; it is gone when this value is dropped.
    async fn create() -> Self;

    /// The store of this outbox.
    fn store(&self) -> Self::Store;

    /// The store for somebody who only looks on.
    fn operator(&self) -> Self::Store {
        self.store()
    }

    /// Opens a business transaction.
    async fn begin(&self) -> Self::Transaction<'static>;

    /// The last event that will not pass, as `position key reason attempts`.
    async fn last_dead_letter(&self) -> Option<String>;

    /// Writes one event through the adapter.
    ///
    /// # Errors
    ///
    /// What the adapter says.
    async fn append(tx: &mut Self::Transaction<'_>, event: &NewEvent<'_>) -> Result<Uuid, AppendError>;

    /// Writes events through the adapter, in one call.
    ///
    /// # Errors
    ///
    /// What the adapter says.
    async fn append_all(tx: &mut Self::Transaction<'_>, events: &[NewEvent<'_>]) -> Result<Vec<Uuid>, AppendError>;

    /// Captures a change of a row: no row before an insert, none after a delete.
    ///
    /// # Errors
    ///
    /// What the adapter says.
    async fn change<E: Entity>(
        tx: &mut Self::Transaction<'_>,
        before: Option<&E>,
        after: Option<&E>,
    ) -> Result<Option<Uuid>, AppendError>;

    /// What the transaction captured so far, as the adapter tells it to a test.
    ///
    /// # Errors
    ///
    /// What the adapter says.
    async fn captured(&self, tx: &mut Self::Transaction<'_>) -> Result<Captured, AppendError>;
}

/// How a business transaction ends. Dropping it rolls it back.
#[expect(async_fn_in_trait, reason = "the behaviours run on one task, which need not move between threads")]
pub trait Business {
    /// Commits.
    ///
    /// # Errors
    ///
    /// What the database says.
    async fn commit(self) -> sqlx::Result<()>;

    /// Rolls back.
    ///
    /// # Errors
    ///
    /// What the database says.
    async fn rollback(self) -> sqlx::Result<()>;
}

impl<D: Database> Business for Transaction<'_, D> {
    async fn commit(self) -> sqlx::Result<()> {
        Transaction::commit(self).await
    }

    async fn rollback(self) -> sqlx::Result<()> {
        Transaction::rollback(self).await
    }
}

/// A database with an outbox and a table `orders (id, total)`, which can be asked in SQL.
#[expect(async_fn_in_trait, reason = "the behaviours run on one task, which need not move between threads")]
pub trait SqlBackend: for<'t> Backend<Transaction<'t> = Transaction<'t, <Self as SqlBackend>::Database>> {
    /// The driver.
    type Database: Database;
    /// What an application writes events through.
    type Adapter: Adapter<Self::Database>;
    /// SQL that takes the log back to its first event, as a database restored from a backup would be.
    const SET_BACK: &'static str;
    /// SQL that does to the log what a restore, a lagging standby or a person does, and whether events can be written then.
    const DAMAGES: &'static [(&'static str, bool)];
    /// SQL that lists every table, as one text.
    const TABLES: &'static str;

    /// A store of this database for a user who may read the log and `outbox_meta`, and nothing else.
    async fn auditor(&self) -> Self::Store;

    /// Makes another outbox in this database, under other names.
    async fn another(&self, names: Names) -> (Self::Adapter, Self::Store);

    /// Runs SQL in a transaction.
    async fn execute(tx: &mut Transaction<'_, Self::Database>, sql: &str);

    /// Runs SQL on a connection of its own.
    async fn admin(&self, sql: &str);

    /// Asks for one text on a connection of its own.
    async fn ask(&self, sql: &str) -> Option<String>;
}

/// What [`Backend::last_dead_letter`] asks in SQL.
const LAST_DEAD_LETTER: &str = "SELECT (SELECT CAST(position AS text) || ' ' || event_key || ' ' || reason || ' ' || \
    CAST(attempts AS text) FROM outbox_dead_letter ORDER BY position DESC LIMIT 1)";

/// A row of the table `orders`.
#[derive(Debug, Clone, Serialize, Outbox)]
#[outbox(table = "orders", topic = "shop.orders", version = 3)]
pub struct Order {
    /// Its number.
    #[outbox(key)]
    pub id: String,
    /// Whose order it is.
    #[outbox(tenant)]
    pub tenant: String,
    /// Its worth in cents.
    pub total: i64,
}

/// Makes a test of every behaviour that any backend shows.
#[macro_export]
macro_rules! conformance {
    ($name:ident, $backend:ty) => {
        mod $name {
            use super::*;

            $crate::behaviours! { $backend, capture:
                what_a_transaction_captured_is_told_and_no_more,
                append_all_keeps_the_order_of_its_events,
                append_all_of_nothing_writes_nothing,
                an_entity_tells_before_and_after,
                an_update_that_changes_nothing_writes_nothing,
                json_comes_back_to_the_last_byte,
                text_that_no_database_likes_is_stored_all_the_same,
                large_payloads_and_keys_pass,
                keys_of_any_characters_come_back,
            }
            $crate::behaviours! { $backend, source:
                a_read_stops_at_its_limits_and_says_so,
                an_event_larger_than_the_limit_comes_alone,
                open_positions_can_be_read_alone,
                a_filter_hides_events_and_no_positions,
                a_portion_brings_what_is_its_own_and_every_position,
                an_open_transaction_is_unseen_until_it_commits,
            }
            $crate::behaviours! { $backend, changelog:
                the_newest_come_in_order_and_pass_the_filter,
                the_newest_are_read_without_the_rest,
                a_tail_outlives_its_connections,
            }
            $crate::behaviours! { $backend, export:
                an_export_brings_everything_in_pages_of_bounded_size,
                an_export_by_name_that_was_not_finished_comes_again,
                two_exports_of_one_name_exclude_one_another,
                an_unknown_outcome_of_a_finish_exports_nothing_twice,
                exports_and_holds_are_no_subscriptions,
            }
            $crate::behaviours! { $backend, publisher:
                every_kind_takes_every_event_once,
                a_closure_that_fails_is_called_again,
                an_event_dropped_by_the_receiver_comes_again,
                a_dropped_receiver_ends_the_relay,
                a_torn_line_is_removed_before_the_file_grows,
                a_rotated_file_is_followed,
                a_full_disk_loses_nothing,
                a_payload_that_is_not_json_blocks_its_key,
                what_is_not_json_reaches_no_publisher,
                a_line_holds_what_was_captured,
            }
            $crate::behaviours! { $backend, checkpoint:
                a_checkpoint_comes_back_as_it_was_written,
                a_write_that_was_given_up_changes_nothing_after_the_next_claim,
                the_first_checkpoint_stays,
                an_older_epoch_is_refused_everything,
                a_checkpoint_never_goes_back,
                dead_letters_are_recorded_and_forgiven,
                subscriptions_do_not_touch_one_another,
            }
            $crate::behaviours! { $backend, lease:
                one_relay_at_a_time_holds_a_lease,
                an_expired_lease_is_anybodys,
                a_lease_given_back_is_free_at_once,
                a_late_renewal_does_not_revive_what_was_given_back,
                only_the_named_epoch_is_taken_over,
                a_second_relay_waits_for_the_first,
                a_silent_owner_is_waited_out,
                a_dead_process_of_the_same_name_is_taken_over_at_once,
                a_lost_lease_stops_publishing_and_checkpoints,
                a_publisher_that_hangs_costs_no_lease,
            }
            $crate::behaviours! { $backend, relay:
                everything_is_published_once_and_in_key_order,
                events_captured_later_follow,
                subscriptions_are_independent,
                a_new_subscription_starts_where_it_says,
                small_windows_let_everything_through,
                memory_is_bounded_by_the_window,
                open_positions_are_published_and_no_others,
                an_empty_log_ends_at_once,
                a_publisher_that_never_answers_runs_out_of_time,
            }
            $crate::behaviours! { $backend, trouble:
                a_retried_event_holds_up_its_key_alone,
                a_rejected_event_blocks_its_key_until_it_passes,
                an_order_keeping_publisher_in_trouble_keeps_order,
                an_event_is_given_up_after_its_attempts,
                a_publisher_that_is_down_costs_no_attempts,
                a_wrong_number_of_answers_ends_the_relay,
                a_panic_ends_the_relay,
                a_panic_in_the_heartbeat_ends_the_relay,
                a_panic_in_a_chore_is_told_and_stops_nothing,
                broken_connections_lose_nothing,
                an_unknown_outcome_of_a_checkpoint_repeats_nothing,
            }
            $crate::behaviours! { $backend, wake:
                a_waker_has_a_relay_read_at_once,
            }
            $crate::behaviours! { $backend, parking:
                a_parked_key_waits_in_the_table_and_others_go_on,
                a_requeued_key_goes_in_order,
                a_key_is_requeued_while_its_events_come,
                a_requeued_event_that_fails_again_is_parked_again,
                a_corrected_payload_goes_under_the_same_id,
                what_is_given_up_is_recorded_and_the_rest_goes_on,
                what_is_not_there_is_named,
                of_many_operators_one_is_first,
                parking_and_the_checkpoint_are_one_write,
                a_key_with_too_many_letters_stops_its_partition,
                too_many_keys_with_letters_stop_their_partition,
                an_outage_that_looks_like_refusals_parks_few,
                a_paused_subscription_hands_nothing_over,
                a_subscription_that_skips_passes_on,
                a_key_in_trouble_spills_and_comes_back,
                a_call_that_hangs_is_given_up_and_made_again,
            }
            $crate::behaviours! { $backend, replay:
                what_was_published_is_sent_once_more_marked_and_in_order,
                a_replay_counts_what_it_hands_over,
                a_replay_survives_a_restart_and_waits_for_a_relay,
                two_replays_at_once_send_nothing_more_than_twice,
            }
            $crate::behaviours! { $backend, blocking:
                a_blocked_event_is_tried_again_when_somebody_asks,
                a_blocked_event_is_given_up_and_its_key_goes_on,
                a_blocked_event_is_given_up_while_no_relay_runs,
            }
            $crate::behaviours! { $backend, stopping:
                a_stop_waits_for_what_is_in_flight,
                the_checkpoint_is_written_before_a_stop_returns,
                a_relay_starts_again_in_the_same_process,
                a_stop_that_nobody_answers_is_bounded,
                a_dropped_relay_stops,
            }
            $crate::behaviours! { $backend, draining:
                a_drain_returns_when_all_is_published_and_in_the_checkpoint,
                a_drain_of_an_empty_outbox_returns_at_once,
                a_drain_waits_for_an_event_in_back_off,
                a_drain_counts_what_will_not_pass,
                a_read_that_began_before_answers_no_drain,
                a_drain_behind_a_full_window_is_an_error,
                a_drain_of_a_relay_that_ends_is_an_error,
                drains_together_are_all_answered,
            }
            $crate::behaviours! { $backend, partitions:
                every_event_of_every_partition_is_published_once,
                the_number_of_partitions_changes_under_load,
                the_number_stays_where_nothing_is_said,
                a_change_of_the_number_shuts_older_epochs_out,
                a_subscription_of_one_row_is_of_one_partition,
            }
            $crate::behaviours! { $backend, glance:
                lag_falls_to_zero,
                a_glance_says_what_the_status_says,
            }
            $crate::behaviours! { $backend, continuity:
                the_same_log_after_a_reconnect_goes_on,
            }
        }
    };
}

/// Makes a test of what only a backend can show that is asked in SQL.
#[macro_export]
macro_rules! sql_conformance {
    ($name:ident, $backend:ty) => {
        mod $name {
            use super::*;

            $crate::behaviours! { $backend, capture:
                an_event_is_stored_if_and_only_if_its_transaction_commits,
                a_savepoint_rolled_back_takes_its_event_along,
                a_future_dropped_at_any_await_leaves_both_or_none,
                a_retried_transaction_leaves_one_event,
                plain_sql_needs_three_columns,
            }
            $crate::behaviours! { $backend, source:
                a_start_is_found_by_each_name,
                the_last_position_is_known,
            }
            $crate::behaviours! { $backend, relay:
                a_schema_of_another_version_is_refused,
            }
            $crate::behaviours! { $backend, parking:
                a_payload_for_another_event_of_its_key_is_refused,
                a_dead_letter_table_that_refuses_loses_nothing,
                parked_events_outlive_the_log,
            }
            $crate::behaviours! { $backend, cleanup:
                what_everybody_has_passed_is_removed,
                the_slowest_subscription_keeps_what_it_has_not_passed,
                an_event_that_is_still_owed_is_kept,
                without_a_subscription_nothing_is_removed,
                young_events_are_kept,
                a_dry_run_changes_nothing,
                letters_given_up_are_forgotten_in_time,
                letters_of_a_subscription_that_is_no_more_are_forgotten,
                a_decision_that_no_relay_has_seen_is_kept,
                holds_keep_what_lies_above_them,
                a_new_subscription_begins_with_what_cleanup_has_left,
                a_start_that_cleanup_overtook_is_refused,
                a_subscription_below_the_floor_is_told,
                a_relay_cleans_while_it_works,
            }
            $crate::behaviours! { $backend, replay:
                a_replay_tells_what_cleanup_took_from_it,
            }
            $crate::behaviours! { $backend, continuity:
                a_log_set_back_under_a_running_relay_stops_it,
                another_event_under_a_known_position_stops_it,
                a_log_set_back_while_no_relay_ran_is_noticed,
                rows_pruned_below_the_floor_are_not_missed,
                a_lost_lease_makes_no_relay_forget_what_it_read,
            }
            $crate::behaviours! { $backend, mending:
                every_damage_is_noticed_and_mended,
                nothing_is_mended_under_a_relay_at_work,
                an_export_by_name_is_mended_too,
                only_the_named_subscription_is_mended,
                a_place_where_nobody_worked_is_refused_until_it_is_adopted,
                another_way_to_the_same_server_needs_no_adoption,
                a_new_instance_is_another_outbox,
                doctor_and_status_tell_how_it_stands,
            }
            $crate::behaviours! { $backend, changelog:
                a_tail_shows_the_newest_and_what_comes,
                a_period_begins_with_its_first_moment_and_ends_before_its_last,
                the_newest_are_found_however_far_apart_they_are,
                rows_that_cannot_become_events_are_shown,
                stats_add_up,
                an_auditor_reads_and_does_not_export,
            }
            $crate::behaviours! { $backend, export:
                an_export_holds_the_log_until_it_ends,
                holds_whose_lease_has_expired_are_removed,
                an_export_by_name_brings_what_is_new,
                an_export_that_lost_its_name_moves_nothing,
                an_export_outlives_its_connections,
                events_removed_unseen_are_told,
                events_removed_during_an_export_are_told,
                another_log_under_a_known_name_is_told,
            }
            $crate::behaviours! { $backend, context:
                a_context_lands_on_every_event_of_its_transaction,
                a_context_reaches_into_savepoints,
                what_an_event_says_itself_stands,
                two_contexts_at_once_do_not_mix,
                headers_that_are_no_object_harm_no_transaction,
                a_consumer_says_what_caused_its_event,
                a_traceparent_reaches_the_published_line,
                the_span_of_the_moment_is_carried,
            }
            $crate::behaviours! { $backend, hostile:
                five_hundred_hostile_texts_come_back_and_break_nothing,
                five_hundred_hostile_names_are_refused,
            }
        }
    };
}

/// One module of [`conformance!`](crate::conformance!); on one thread where a clock is moved that stands still while anybody works.
#[macro_export]
macro_rules! behaviours {
    ($backend:ty, $module:ident on one thread: $($behaviour:ident),+ $(,)?) => {
        $crate::behaviours! { $backend, $module, tokio::test: $($behaviour),+ }
    };
    ($backend:ty, $module:ident: $($behaviour:ident),+ $(,)?) => {
        $crate::behaviours! {
            $backend, $module, tokio::test(flavor = "multi_thread", worker_threads = 2): $($behaviour),+
        }
    };
    ($backend:ty, $module:ident, $runtime:meta: $($behaviour:ident),+) => {
        mod $module {
            use super::*;

            $(
                #[$runtime]
                async fn $behaviour() {
                    let backend = <$backend as $crate::conformance::Backend>::create().await;
                    $crate::conformance::$module::$behaviour(&backend).await;
                }
            )+
        }
    };
}
