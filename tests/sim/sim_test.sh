#!/bin/sh
# Some seconds of the simulator, and its own laws: a seed is a run, byte for byte, and one that fails tells a short story.
set -u
cd "$(dirname "$0")/../.."
make -s build-sim/build.ninja >/dev/null && ninja -C build-sim --quiet tests/sim/hydrant_sim >/dev/null || exit 1
sim=build-sim/tests/sim/hydrant_sim
law() { # NAME; the command before it has succeeded or not
	if [ $? -eq 0 ]; then echo "ok $1"; else echo "not ok $1"; fi
}
same() { # twice in a row, with different addresses and at different times
	one=$($sim "$@") && two=$($sim "$@") && [ "$one" = "$two" ]
}
for seed in 1 2 3 4; do
	same --seed $seed
	law sim_seed_${seed}_is_the_same_run_twice
done

for mutant in tests/sim/mutants/*.patch; do # a mutant that does not apply any more tests nothing
	git apply --check "$mutant" 2>/dev/null || patch -s -p1 --dry-run <"$mutant" >/dev/null || { false; break; }
done
law sim_mutants_apply

story=$($sim --seeds 1 --from 7 --most-crashes 0)
told=$?
steps=$(echo "$story" | grep -c ' step [0-9]')
all=$($sim --seed 7 --story | grep -c ' step [0-9]')
[ $told -ne 0 ] && [ "$steps" -ge 1 ] && [ "$steps" -lt "$all" ] && echo "$story" | grep -q 'BROKEN: .* crashes, 0 are allowed'
law sim_seed_that_fails_tells_the_smallest_plan_that_still_does
again=$(echo "$story" | sed -n 's/^again: hydrant_sim//p')
one=$($sim $again --most-crashes 0)
failed=$?
two=$($sim $again --most-crashes 0)
[ $failed -ne 0 ] && [ "$one" = "$two" ] && echo "$one" | grep -q 'crashes, 0 are allowed'
law sim_seed_that_fails_is_told_how_to_run_it_again

$sim --hour --seeds 2 >&2
law sim_place_that_refuses_for_an_hour_costs_others_no_ack_no_freshness_and_no_disk

$sim --seeds 1000000 --seconds "${SIM_SECONDS:-10}" >&2
law sim_nothing_acked_is_lost_and_nothing_is_there_twice
