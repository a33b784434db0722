//! What groups do, as text: each line with `>` is a request, the lines below it are all that came of it.
//!
//! `T join` and so on name the waiting client; times are milliseconds since the start.

mod group_bench;

use group_bench::check;

#[test]
fn the_first_rebalance_waits_for_more_members() {
    check(
        "
        > 0 a join g v=4
        a join MEMBER_ID_REQUIRED me=app-1
        log group g gen=0 proto= leader= []
        > 10 a join g v=4 m=app-1 r=60000
        > 1000 b join g v=3 r=60000
        > 3010 tick
        > 6010 tick
        a join NONE gen=1 proto=range leader=app-1 me=app-1 members=[app-1 app-2]
        b join NONE gen=1 proto=range leader=app-1 me=app-2 members=[]
        > 6020 b sync g m=app-2 gen=1
        > 6030 a sync g m=app-1 gen=1 give=app-1:x,app-2:y
        log group g gen=1 proto=range leader=app-1 [app-1=x app-2=y]
        a sync NONE proto=range got=x
        b sync NONE proto=range got=y
        > 6040 show g
        g Stable gen=1 leader=app-1 [app-1 app-2]
        ",
    );
}

#[test]
fn the_initial_delay_is_extended_within_the_rebalance_timeout_only() {
    check(
        "
        > 0 a join g v=3 r=5000
        log group g gen=0 proto= leader= []
        > 2900 b join g v=3 r=5000
        > 3000 tick
        > 4900 c join g v=3 r=5000
        > 4999 show g
        g PreparingRebalance gen=0 leader=app-1 [app-1 app-2 app-3]
        > 5000 tick
        a join NONE gen=1 proto=range leader=app-1 me=app-1 members=[app-1 app-2 app-3]
        b join NONE gen=1 proto=range leader=app-1 me=app-2 members=[]
        c join NONE gen=1 proto=range leader=app-1 me=app-3 members=[]
        ",
    );
}

#[test]
fn a_second_member_makes_the_first_rejoin() {
    check(
        "
        > stable g
        > 10000 b join g v=3
        > 10010 a beat g m=app-1 gen=1
        a beat REBALANCE_IN_PROGRESS
        > 10020 a join g m=app-1
        a join NONE gen=2 proto=range leader=app-1 me=app-1 members=[app-1 app-2]
        b join NONE gen=2 proto=range leader=app-1 me=app-2 members=[]
        > 10030 a beat g m=app-1 gen=1
        a beat ILLEGAL_GENERATION
        > 10040 a beat g m=app-1 gen=2
        a beat NONE
        ",
    );
}

#[test]
fn a_member_that_does_not_rejoin_is_out_after_the_rebalance_timeout() {
    check(
        "
        > 0 a join g v=3 s=100000 r=60000
        log group g gen=0 proto= leader= []
        > 3000 tick
        a join NONE gen=1 proto=range leader=app-1 me=app-1 members=[app-1]
        > 3100 a sync g m=app-1 gen=1 give=app-1:x
        log group g gen=1 proto=range leader=app-1 [app-1=x]
        a sync NONE proto=range got=x
        > 10000 b join g v=3 r=7000
        > 69999 a beat g m=app-1 gen=1
        a beat REBALANCE_IN_PROGRESS
        > 70000 tick
        b join NONE gen=2 proto=range leader=app-2 me=app-2 members=[app-2]
        > 70001 show g
        g CompletingRebalance gen=2 leader=app-2 [app-2]
        ",
    );
}

#[test]
fn a_silent_member_times_out_and_the_group_empties() {
    check(
        "
        > stable g
        > 9000 a beat g m=app-1 gen=1
        a beat NONE
        > 18999 show g
        g Stable gen=1 leader=app-1 [app-1]
        > 19000 tick
        log group g gen=2 proto= leader= []
        > 19001 a beat g m=app-1 gen=1
        a beat UNKNOWN_MEMBER_ID
        > 19002 show g
        g Empty gen=2 leader= []
        ",
    );
}

#[test]
fn a_static_member_restarts_without_a_rebalance() {
    check(
        "
        > 0 a join g i=one v=9
        log group g gen=0 proto= leader= []
        > 3000 tick
        a join NONE gen=1 proto=range leader=one-1 me=one-1 members=[one-1]
        > 3001 a sync g m=one-1 gen=1 give=one-1:x
        log group g gen=1 proto=range leader=one-1 [one-1=x]
        a sync NONE proto=range got=x
        > 4000 b join g i=one v=9
        log group g gen=1 proto=range leader=one-2 [one-2=x]
        b join NONE gen=1 proto=range leader=one-2 me=one-2 skip members=[one-2]
        > 4001 a beat g m=one-1 i=one gen=1
        a beat FENCED_INSTANCE_ID
        > 4002 a beat g m=one-1 gen=1
        a beat UNKNOWN_MEMBER_ID
        > 4003 b sync g m=one-2 i=one gen=1
        b sync NONE proto=range got=x
        > 5000 c join g i=one v=5
        log group g gen=1 proto=range leader=one-3 [one-3=x]
        c join NONE gen=1 proto=range leader=one-2 me=one-3 members=[]
        ",
    );
}

#[test]
fn a_static_member_that_changes_the_protocol_makes_all_rejoin() {
    check(
        "
        > 0 a join g i=one p=range,sticky
        log group g gen=0 proto= leader= []
        > 3000 tick
        a join NONE gen=1 proto=range leader=one-1 me=one-1 members=[one-1]
        > 3001 a sync g m=one-1 gen=1 give=one-1:x
        log group g gen=1 proto=range leader=one-1 [one-1=x]
        a sync NONE proto=range got=x
        > 4000 b join g i=one p=sticky
        b join NONE gen=2 proto=sticky leader=one-2 me=one-2 members=[one-2]
        ",
    );
}

#[test]
fn a_duplicate_static_member_fences_the_one_that_waits() {
    check(
        "
        > 0 a join g i=one
        log group g gen=0 proto= leader= []
        > 100 b join g i=one
        a join FENCED_INSTANCE_ID me=one-1
        > 3000 tick
        b join NONE gen=1 proto=range leader=one-2 me=one-2 members=[one-2]
        ",
    );
}

#[test]
fn a_static_member_whose_new_name_is_not_stored_keeps_its_old_one() {
    check(
        "
        > 0 a join g i=one v=9
        log group g gen=0 proto= leader= []
        > 3000 tick
        a join NONE gen=1 proto=range leader=one-1 me=one-1 members=[one-1]
        > 3001 a sync g m=one-1 gen=1 give=one-1:x
        log group g gen=1 proto=range leader=one-1 [one-1=x]
        a sync NONE proto=range got=x
        > fail KAFKA_STORAGE_ERROR
        > 4000 b join g i=one v=9
        b join NOT_COORDINATOR gen=1 proto=range leader=one-1 me= members=[]
        > 4001 a beat g m=one-1 i=one gen=1
        a beat NONE
        ",
    );
}

#[test]
fn a_leader_that_leaves_is_followed_by_another_member() {
    check(
        "
        > stable2 g
        > 10000 a leave g m=app-1
        a leave NONE app-1=NONE
        > 10010 b join g m=app-2
        b join NONE gen=2 proto=range leader=app-2 me=app-2 members=[app-2]
        > 10020 a leave g m=app-1 m=app-2 m=nobody
        log group g gen=3 proto= leader= []
        a leave NONE app-1=UNKNOWN_MEMBER_ID app-2=NONE nobody=UNKNOWN_MEMBER_ID
        ",
    );
}

#[test]
fn an_administrator_removes_a_static_member_by_its_instance() {
    check(
        "
        > 0 a join g i=one
        log group g gen=0 proto= leader= []
        > 3000 tick
        a join NONE gen=1 proto=range leader=one-1 me=one-1 members=[one-1]
        > 3010 x leave g i=two
        x leave NONE /two=UNKNOWN_MEMBER_ID
        > 3020 x leave g i=one
        log group g gen=2 proto= leader= []
        x leave NONE /one=NONE
        > 3030 x leave h m=one-1
        x leave NONE one-1=UNKNOWN_MEMBER_ID
        ",
    );
}

#[test]
fn members_that_do_not_sync_are_out_after_the_rebalance_timeout() {
    check(
        "
        > 0 a join g v=3 r=20000
        log group g gen=0 proto= leader= []
        > 100 b join g v=3 r=20000
        > 6000 tick
        a join NONE gen=1 proto=range leader=app-1 me=app-1 members=[app-1 app-2]
        b join NONE gen=1 proto=range leader=app-1 me=app-2 members=[]
        > 6010 b sync g m=app-2 gen=1
        > 15000 a beat g m=app-1 gen=1
        a beat NONE
        > 24000 a beat g m=app-1 gen=1
        a beat NONE
        > 26000 tick
        b sync REBALANCE_IN_PROGRESS proto= got=
        > 26001 show g
        g PreparingRebalance gen=1 leader=app-2 [app-2]
        > 26002 b join g m=app-2
        b join NONE gen=2 proto=range leader=app-2 me=app-2 members=[app-2]
        ",
    );
}

#[test]
fn an_assignment_that_is_not_stored_makes_all_rejoin() {
    check(
        "
        > 0 a join g v=3
        log group g gen=0 proto= leader= []
        > 3000 tick
        a join NONE gen=1 proto=range leader=app-1 me=app-1 members=[app-1]
        > fail MESSAGE_TOO_LARGE
        > 3010 a sync g m=app-1 gen=1 give=app-1:x
        a sync UNKNOWN_SERVER_ERROR proto= got=
        > 3020 show g
        g PreparingRebalance gen=1 leader=app-1 [app-1]
        ",
    );
}

#[test]
fn an_assignment_counts_only_once_it_is_durable() {
    check(
        "
        > 0 a join g v=3
        log group g gen=0 proto= leader= []
        > 3000 tick
        a join NONE gen=1 proto=range leader=app-1 me=app-1 members=[app-1]
        > hold
        > 3010 a sync g m=app-1 gen=1 give=app-1:x
        log group g gen=1 proto=range leader=app-1 [app-1=x]
        > 3020 x describe g
        > 3030 b join g v=3
        a sync REBALANCE_IN_PROGRESS proto= got=
        > flush
        x describe g NONE CompletingRebalance consumer/ [app-1=]
        > 3040 show g
        g PreparingRebalance gen=1 leader=app-1 [app-1 app-2]
        ",
    );
}

#[test]
fn a_group_that_cannot_be_stored_does_not_exist() {
    check(
        "
        > fail NOT_ENOUGH_REPLICAS
        > 0 a join g v=3
        a join COORDINATOR_NOT_AVAILABLE me=app-1
        > 10 x list
        x list []
        ",
    );
}

#[test]
fn joining_is_refused_for_what_does_not_fit() {
    check(
        "
        > 0 a join g v=3 s=5999
        a join INVALID_SESSION_TIMEOUT me=
        > 0 a join g v=3 s=1800001
        a join INVALID_SESSION_TIMEOUT me=
        > 0 a join '' v=3
        a join INVALID_GROUP_ID me=
        > 0 a join g m=ghost
        a join UNKNOWN_MEMBER_ID me=ghost
        > 0 a join g p=
        a join INCONSISTENT_GROUP_PROTOCOL me=
        log group g gen=0 proto= leader= []
        > 0 a join g v=3 p=range,range
        > 0 b join g v=3 p=sticky
        b join INCONSISTENT_GROUP_PROTOCOL me=
        > 0 b join g v=3 type=connect
        b join INCONSISTENT_GROUP_PROTOCOL me=
        > 0 b join g m=ghost
        b join UNKNOWN_MEMBER_ID me=ghost
        > 0 b join g i=one m=ghost
        b join UNKNOWN_MEMBER_ID me=ghost
        ",
    );
}

#[test]
fn a_group_has_no_more_members_than_it_may() {
    check(
        "
        > max 1
        > stable g
        > 10000 b join g v=3
        b join GROUP_MAX_SIZE_REACHED me=
        > 10010 b join g v=4
        b join GROUP_MAX_SIZE_REACHED me=
        ",
    );
}

#[test]
fn an_id_that_is_not_used_is_forgotten_after_the_session_timeout() {
    check(
        "
        > 0 a join g v=4
        a join MEMBER_ID_REQUIRED me=app-1
        log group g gen=0 proto= leader= []
        > 9999 a join g m=nobody
        a join UNKNOWN_MEMBER_ID me=nobody
        > 10000 tick
        > 10001 a join g m=app-1
        a join UNKNOWN_MEMBER_ID me=app-1
        ",
    );
}

#[test]
fn an_id_that_was_given_out_holds_the_rebalance_up() {
    check(
        "
        > stable g
        > 10000 b join g v=4
        b join MEMBER_ID_REQUIRED me=app-2
        > 10010 a join g m=app-1
        > 11000 b leave g m=app-2
        a join NONE gen=2 proto=range leader=app-1 me=app-1 members=[app-1]
        b leave NONE app-2=NONE
        ",
    );
}

#[test]
fn the_protocol_is_one_that_all_know_and_most_prefer() {
    check(
        "
        > 0 a join g v=3 p=range,sticky,robin
        log group g gen=0 proto= leader= []
        > 1 b join g v=3 p=sticky,range
        > 2 c join g v=3 p=robin,sticky,range
        > 3 d join g v=3 p=cooperative,sticky,range
        > 10000 tick
        a join NONE gen=1 proto=sticky leader=app-1 me=app-1 members=[app-1 app-2 app-3 app-4]
        b join NONE gen=1 proto=sticky leader=app-1 me=app-2 members=[]
        c join NONE gen=1 proto=sticky leader=app-1 me=app-3 members=[]
        d join NONE gen=1 proto=sticky leader=app-1 me=app-4 members=[]
        ",
    );
}

#[test]
fn rejoining_without_change_is_free_but_for_the_leader() {
    check(
        "
        > stable2 g
        > 10000 b join g m=app-2
        b join NONE gen=1 proto=range leader=app-1 me=app-2 members=[]
        > 10010 b sync g m=app-2 gen=1
        b sync NONE proto=range got=y
        > 10020 a join g m=app-1
        > 10030 b join g m=app-2
        a join NONE gen=2 proto=range leader=app-1 me=app-1 members=[app-1 app-2]
        b join NONE gen=2 proto=range leader=app-1 me=app-2 members=[]
        > 10040 a join g m=app-1
        a join NONE gen=2 proto=range leader=app-1 me=app-1 members=[app-1 app-2]
        > 10050 b join g m=app-2 p=range,new
        > 10060 b join g m=app-2 p=range,new
        b join REBALANCE_IN_PROGRESS me=app-2
        ",
    );
}

#[test]
fn syncing_is_refused_to_whom_it_does_not_concern() {
    check(
        "
        > 0 a sync g m=app-1 gen=1
        a sync UNKNOWN_MEMBER_ID proto= got=
        > stable g
        > 4000 a sync g m=ghost gen=1
        a sync UNKNOWN_MEMBER_ID proto= got=
        > 4000 a sync g m=app-1 i=one gen=1
        a sync UNKNOWN_MEMBER_ID proto= got=
        > 4000 a sync g m=app-1 gen=2
        a sync ILLEGAL_GENERATION proto= got=
        > 4000 a sync g m=app-1 gen=1 proto=sticky
        a sync INCONSISTENT_GROUP_PROTOCOL proto= got=
        > 4000 a sync g m=app-1 gen=1 proto=range
        a sync NONE proto=range got=x
        > 4000 b join g v=3
        > 4000 a sync g m=app-1 gen=1
        a sync REBALANCE_IN_PROGRESS proto= got=
        ",
    );
}

#[test]
fn offsets_are_fenced_by_member_and_generation() {
    check(
        "
        > 0 a commit g gen=1 m=app-1 t:0=5
        a commit t:0=GROUP_ID_NOT_FOUND
        > 0 a commit g gen=1 m=app-1 old t:0=5
        a commit t:0=ILLEGAL_GENERATION
        > stable g
        > 4000 a commit g gen=1 m=app-1 t:0=5 t:1=6
        log offset g t:0=5
        log offset g t:1=6
        a commit t:0=NONE t:1=NONE
        > 4000 a commit g gen=2 m=app-1 t:0=7
        a commit t:0=ILLEGAL_GENERATION
        > 4000 a commit g gen=1 m=ghost t:0=7
        a commit t:0=UNKNOWN_MEMBER_ID
        > 4000 a commit g gen=1 m=app-1 i=one t:0=7
        a commit t:0=UNKNOWN_MEMBER_ID
        > 4000 a commit g t:0=7
        a commit t:0=UNKNOWN_MEMBER_ID
        > 4000 a fetch g t:0 t:1 t:2 u:0
        a fetch t:0=5 t:1=6 t:2=-1 u:0=-1
        > 4000 a fetch g
        a fetch t:0=5 t:1=6
        > 4000 b join g v=3
        > 4000 a commit g gen=1 m=app-1 t:0=8
        log offset g t:0=8
        a commit t:0=NONE
        > 4010 a join g m=app-1
        a join NONE gen=2 proto=range leader=app-1 me=app-1 members=[app-1 app-2]
        b join NONE gen=2 proto=range leader=app-1 me=app-2 members=[]
        > 4020 a commit g gen=2 m=app-1 t:0=9
        a commit t:0=REBALANCE_IN_PROGRESS
        ",
    );
}

#[test]
fn a_commit_keeps_the_session() {
    check(
        "
        > stable g
        > 12000 a commit g gen=1 m=app-1 t:0=5
        log offset g t:0=5
        a commit t:0=NONE
        > 21999 show g
        g Stable gen=1 leader=app-1 [app-1]
        > 22000 tick
        log group g gen=2 proto= leader= []
        ",
    );
}

#[test]
fn offsets_without_a_group_make_one_until_they_expire() {
    check(
        "
        > 0 a commit g t:0=5
        log offset g t:0=5
        a commit t:0=NONE
        > 0 x describe g
        x describe g NONE Empty / []
        > 100000 a commit g t:1=6
        log offset g t:1=6
        a commit t:1=NONE
        > 604800000 tick
        log offset g t:0 gone
        > 605400000 tick
        log offset g t:1 gone
        log group g gone
        > 605400001 x describe g
        x describe g GROUP_ID_NOT_FOUND Dead / [] Group g not found.
        > 605400001 x describe g old
        x describe g NONE Dead / []
        ",
    );
}

#[test]
fn offsets_live_while_their_topic_is_subscribed_and_then_from_the_end_of_the_group() {
    check(
        "
        > 0 a join g v=3 s=1800000
        log group g gen=0 proto= leader= []
        > 3000 tick
        a join NONE gen=1 proto=range leader=app-1 me=app-1 members=[app-1]
        > 3100 a sync g m=app-1 gen=1 give=app-1:x
        log group g gen=1 proto=range leader=app-1 [app-1=x]
        a sync NONE proto=range got=x
        > 4000 a commit g gen=1 m=app-1 t:0=5 gone:0=6
        log offset g t:0=5
        log offset g gone:0=6
        a commit t:0=NONE gone:0=NONE
        > beats g app-1 gen=1 until=606000000
        > 605400000 tick
        log offset g gone:0 gone
        > 606000000 a leave g m=app-1
        log group g gen=2 proto= leader= []
        a leave NONE app-1=NONE
        > 1210200000 tick
        > 1210800000 tick
        log offset g t:0 gone
        log group g gone
        ",
    );
}

#[test]
fn a_retention_of_the_clients_own_counts_from_the_commit() {
    check(
        "
        > 0 a commit g keep=1000 t:0=5
        log offset g t:0=5
        a commit t:0=NONE
        > 0 a commit g t:1=6
        log offset g t:1=6
        a commit t:1=NONE
        > 600000 tick
        log offset g t:0 gone
        ",
    );
}

#[test]
fn metadata_that_is_too_long_fails_its_partition_only() {
    check(
        "
        > 0 a commit g t:0=5:4096 t:1=6:4097
        log offset g t:0=5
        a commit t:0=NONE t:1=OFFSET_METADATA_TOO_LARGE
        ",
    );
}

#[test]
fn offsets_of_a_failed_append_are_not_there() {
    check(
        "
        > 0 a commit g t:0=5
        log offset g t:0=5
        a commit t:0=NONE
        > fail NOT_LEADER_OR_FOLLOWER
        > 0 a commit g t:0=6 t:1=7
        a commit t:0=NOT_COORDINATOR t:1=NOT_COORDINATOR
        > 0 a fetch g
        a fetch t:0=5
        ",
    );
}

#[test]
fn a_fetch_waits_for_the_commit_that_it_tells_about() {
    check(
        "
        > hold
        > 0 a commit g t:0=5
        log offset g t:0=5
        > 0 b fetch g
        > flush
        a commit t:0=NONE
        b fetch t:0=5
        ",
    );
}

#[test]
fn offsets_are_deleted_where_nobody_subscribes() {
    check(
        "
        > 0 x offsets-delete g t:0
        x offsets-delete GROUP_ID_NOT_FOUND
        > stable g
        > 4000 a commit g gen=1 m=app-1 t:0=5 u:0=6
        log offset g t:0=5
        log offset g u:0=6
        a commit t:0=NONE u:0=NONE
        > 4000 x offsets-delete g t:0 u:0 u:1
        log offset g u:0 gone
        x offsets-delete NONE t:0=GROUP_SUBSCRIBED_TO_TOPIC u:0=NONE u:1=NONE
        > 4000 a join h v=3 type=connect
        log group h gen=0 proto= leader= []
        > 4000 x offsets-delete h t:0
        x offsets-delete NON_EMPTY_GROUP
        ",
    );
}

#[test]
fn only_empty_groups_are_deleted_and_their_offsets_with_them() {
    check(
        "
        > stable g
        > 4000 a commit g gen=1 m=app-1 t:0=5
        log offset g t:0=5
        a commit t:0=NONE
        > 4000 x delete g h
        x delete g=NON_EMPTY_GROUP h=GROUP_ID_NOT_FOUND
        > 4010 a leave g m=app-1
        log group g gen=2 proto= leader= []
        a leave NONE app-1=NONE
        > 4020 x delete g
        log offset g t:0 gone
        log group g gone
        x delete g=NONE
        > 4030 x list
        x list []
        > 4040 a fetch g t:0
        a fetch t:0=-1
        ",
    );
}

#[test]
fn the_offsets_of_deleted_topics_go() {
    check(
        "
        > 0 a commit g t:0=5 u:0=6
        log offset g t:0=5
        log offset g u:0=6
        a commit t:0=NONE u:0=NONE
        > 0 x topics-deleted u
        log offset g u:0 gone
        x topics-deleted
        > 0 a fetch g
        a fetch t:0=5
        ",
    );
}

#[test]
fn groups_are_listed_by_state_and_type() {
    check(
        "
        > stable g
        > 4000 a commit h t:0=5
        log offset h t:0=5
        a commit t:0=NONE
        > 4000 x list
        x list [g/consumer/Stable/classic h//Empty/classic]
        > 4000 x list state=stable
        x list [g/consumer/Stable/classic]
        > 4000 x list state=Dead
        x list []
        > 4000 x list type=CLASSIC state=empty
        x list [h//Empty/classic]
        > 4000 x list type=consumer
        x list []
        > 4000 x describe g
        x describe g NONE Stable consumer/range [app-1=x]
        ",
    );
}

#[test]
fn a_restart_keeps_stable_groups_and_offsets_and_gives_members_a_session() {
    check(
        "
        > stable2 g
        > 4000 a commit g gen=1 m=app-1 t:0=5
        log offset g t:0=5
        a commit t:0=NONE
        > reload
        > 5000 b beat g m=app-2 gen=1
        b beat NONE
        > 5000 show g
        g Stable gen=1 leader=app-1 [app-1 app-2]
        > 5000 a fetch g
        a fetch t:0=5
        > 5010 a sync g m=app-1 gen=1
        a sync NONE proto=range got=x
        > 15000 tick
        log group g gen=2 proto= leader= []
        > 15001 show g
        g Empty gen=2 leader= []
        ",
    );
}

#[test]
fn giving_the_partition_up_answers_everyone() {
    check(
        "
        > 0 a join g v=3
        log group g gen=0 proto= leader= []
        > hold
        > 0 b commit h t:0=5
        log offset h t:0=5
        > unload
        b commit t:0=NOT_COORDINATOR
        a join NOT_COORDINATOR me=app-1
        ",
    );
}

#[test]
fn a_group_whose_name_fills_all_room_is_not_found_without_a_sentence() {
    let name = "x".repeat(32_767);
    check(&format!("> 0 x describe {name}\n x describe {name} GROUP_ID_NOT_FOUND Dead / []"));
    check(&format!("> 0 a join {name} v=3\n log group {name} gen=0 proto= leader= []"));
}
