//! Every backend hands itself into the one suite; what only one of them can show follows.

use outbox_tests::conformance::memory::Memory;
use outbox_tests::conformance::postgres::Postgres;
use outbox_tests::conformance::sqlite::Sqlite;

outbox_tests::conformance!(memory, Memory);
outbox_tests::conformance!(sqlite, Sqlite);
outbox_tests::conformance!(postgres, Postgres);
outbox_tests::sql_conformance!(sqlite_by_sql, Sqlite);
outbox_tests::sql_conformance!(postgres_by_sql, Postgres);

mod memory_alone {
    use super::Memory;

    outbox_tests::behaviours! { Memory, trouble on one thread:
        a_database_that_is_down_is_asked_a_few_times_a_second,
    }

    outbox_tests::behaviours! { Memory, partitions:
        relays_share_the_partitions_and_hand_them_over,
        the_relay_that_started_last_decides_the_number,
        a_relay_that_ends_when_all_is_published_counts_the_others,
        a_blocked_key_holds_up_no_other_partition,
    }
}

mod postgres_alone {
    use super::Postgres;

    outbox_tests::behaviours! { Postgres, partitions:
        relays_share_the_partitions_and_hand_them_over,
        the_relay_that_started_last_decides_the_number,
        a_relay_that_ends_when_all_is_published_counts_the_others,
        a_blocked_key_holds_up_no_other_partition,
        relays_whose_leases_differ_in_length_share,
        a_silent_relay_has_its_share_for_its_own_lease,
    }
    outbox_tests::behaviours! { Postgres, relay:
        no_transaction_stays_open_while_something_is_published,
    }
    outbox_tests::behaviours! { Postgres, trouble:
        dead_letters_that_find_no_room_stop_the_checkpoint_and_say_why,
    }

    outbox_tests::behaviours! { Postgres, commit_order:
        an_open_writer_delays_its_own_events_alone,
        a_hole_dies_with_its_transaction,
        a_prepared_transaction_fills_its_hole,
        a_hole_outlives_the_relay,
        a_start_now_keeps_what_is_open,
        a_start_now_behind_an_open_writer_keeps_its_lease,
        strict_reading_ends_only_after_what_stands_behind_a_hole,
        serialization_failures_leave_one_event_a_commit,
        writers_that_lock_their_keys_commit_in_order,
        keys_are_locked_in_one_order,
    }
    outbox_tests::behaviours! { Postgres, changelog:
        a_tail_shows_what_commits_late,
    }
    outbox_tests::behaviours! { Postgres, export:
        an_event_that_commits_after_an_export_is_in_the_next_one,
        an_event_that_commits_during_an_export_is_in_it,
        a_rolled_back_transaction_leaves_nothing_open,
    }
    outbox_tests::behaviours! { Postgres, network:
        cut_connections_lose_nothing,
        a_commit_whose_answer_is_cut_off_repeats_nothing,
        a_slow_network_is_merely_slow,
        a_relay_cut_off_from_its_database_is_replaced,
        half_open_connections_are_given_up,
    }
    outbox_tests::behaviours! { Postgres, segments:
        a_writer_keeps_its_own_segment_and_no_other,
        whoever_holds_a_segment_is_named,
        a_dump_gets_the_whole_log_and_cleanup_goes_on_after_it,
        an_event_that_committed_below_the_checkpoint_is_kept,
        a_late_cleaner_harms_nothing,
        an_emptying_that_fails_leaves_everything_as_it_was,
        a_lock_on_the_toast_table_is_not_waited_for,
        a_cleaner_at_work_makes_others_give_up,
        inserts_go_on_in_an_empty_segment_alone,
        any_empty_segment_is_the_next,
        a_start_at_the_beginning_waits_for_what_is_open_below_the_floor,
        segments_are_added_and_left_while_writers_are_open,
        subscriptions_begin_at_a_defined_point_while_segments_are_emptied,
        a_careless_cleaner_loses_an_event_that_committed_late,
    }
    outbox_tests::behaviours! { Postgres, max_disk:
        a_log_that_is_too_large_is_held_and_told,
        the_dead_are_cut_off_and_told_so,
        the_living_are_never_cut_off,
        what_is_cut_off_is_archived_first,
        nothing_goes_without_its_archive,
        a_full_disk_of_the_archive_is_waited_for,
    }
    outbox_tests::behaviours! { Postgres, roles:
        each_role_has_what_it_needs_and_no_more,
        no_role_can_do_the_work_of_another,
        an_onlooker_is_told_what_it_lacks_to_look_on,
        a_relay_that_lacks_one_privilege_fails_the_examination,
        privileges_taken_from_a_relay_at_work_are_named_and_waited_for,
        a_relay_without_privileges_does_not_start,
        an_owner_that_may_make_no_roles_grants_to_those_that_are_there,
        roles_of_other_names_serve_as_well,
        the_statements_of_the_guide_run_as_they_stand,
    }
    outbox_tests::behaviours! { Postgres, row_security:
        policies_that_may_hide_rows_are_refused_with_table_and_remedy,
        no_call_of_a_relay_at_work_takes_hidden_rows_for_none,
        a_relay_waits_behind_new_policies_and_goes_on_once_it_bypasses_them,
        policies_for_writers_and_a_relay_that_bypasses_them_work_together,
        an_owner_under_forced_policies_is_refused_with_the_remedy,
    }
    outbox_tests::behaviours! { Postgres, unexpected:
        a_strangers_table_of_that_name_is_refused_and_left_alone,
        a_log_that_is_none_is_refused,
        a_server_that_is_too_old_is_refused,
        a_foreign_key_keeps_its_segment_and_no_other,
        rows_written_into_another_segment_are_published_and_removed,
        a_position_given_by_hand_stops_the_reading_until_it_is_mended,
        whoever_locks_a_segment_against_readers_is_named,
        times_of_a_clock_that_jumped_lose_nothing,
        a_server_whose_clock_jumps_loses_nothing,
        functions_of_a_stranger_are_not_called,
    }
    outbox_tests::behaviours! { Postgres, glance:
        a_long_backlog_is_estimated_and_its_age_known,
    }
    outbox_tests::behaviours! { Postgres, wake:
        all_subscriptions_of_a_relay_are_woken,
        outboxes_of_one_database_wake_their_own_relays,
        a_writer_that_may_not_look_writes_all_the_same,
        a_transaction_tells_once,
        two_relays_sleep_by_one_sequence,
        an_arming_runs_out_by_itself,
        who_may_prepare_transactions_is_asked_for_nothing,
        who_tells_nobody_is_found_when_the_relay_arms_again,
        a_trigger_tells_for_plain_sql,
        a_full_queue_of_notifications_fails_no_commit_of_ours,
        a_relay_that_polls_never_arms,
        a_relay_that_may_not_arm_polls,
        ended_sessions_of_a_sleeping_relay_lose_nothing,
        a_wake_that_hears_nothing_any_more_says_so,
    }
    outbox_tests::behaviours! { Postgres, pooler:
        a_relay_works_behind_a_pooler,
        an_older_epoch_is_refused_behind_a_pooler,
        every_transaction_behind_a_pooler_has_its_settings,
        a_pooler_is_found_out_and_told,
        an_application_captures_behind_a_pooler,
    }
    outbox_tests::behaviours! { Postgres, server_settings:
        short_timeouts_of_the_database_do_no_harm,
        a_read_only_database_is_waited_for,
        a_relay_finds_everything_by_the_key,
        a_database_without_a_free_connection_is_waited_for,
        a_time_zone_changes_nothing,
        positions_drawn_in_bulk_are_refused,
        a_log_set_back_behind_ended_sessions_stops_the_relay,
        ended_sessions_lose_nothing,
        a_user_who_may_not_record_is_told_what_to_grant,
    }
}

mod sqlite_alone {
    use super::Sqlite;

    outbox_tests::behaviours! { Sqlite, partitions:
        one_relay_works_a_file,
    }

    outbox_tests::behaviours! { Sqlite, files:
        a_file_replaced_by_an_older_copy_stops_the_relay,
        a_whole_older_copy_loses_nothing,
        a_file_that_is_replaced_unseen_stops_the_relay,
        a_copied_file_is_refused_until_it_is_adopted,
        a_renamed_file_is_the_same,
        a_strangers_table_in_the_file_is_refused_and_left_alone,
        a_foreign_key_keeps_what_it_points_at,
        a_position_given_by_hand_moves_the_log_on,
        a_long_cleanup_goes_in_small_transactions,
    }
    outbox_tests::behaviours! { Sqlite, wake:
        a_file_that_changes_wakes_a_relay,
        a_heartbeat_wakes_nobody,
    }
}

/// A behaviour that no list names would never run.
#[test]
fn every_behaviour_is_in_a_list() {
    let lists = [include_str!("../src/conformance.rs"), include_str!("conformance.rs")];
    let listed = |name: &str| lists.iter().any(|list| list.lines().any(|line| line.trim() == format!("{name},")));
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/conformance");
    let mut behaviours = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for (name, parameters) in text.lines().filter_map(|line| line.strip_prefix("pub async fn ")?.split_once('(')) {
            let name = name.trim_end_matches("<B: Backend>").trim_end_matches("<B: SqlBackend>");
            if ["backend: &B) {", "backend: &Postgres) {", "backend: &Sqlite) {"].contains(&parameters) {
                behaviours += 1;
                assert!(listed(name), "{name} is in no list");
            }
        }
    }
    assert!(behaviours > 50, "only {behaviours} behaviours found: are they written otherwise by now?");
}
