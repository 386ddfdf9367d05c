#!/bin/sh
# A few seconds of the simulator, and its own law: a seed is a run, byte for byte.
set -eu
cd "$(dirname "$0")/../.."
make -s build-sim/build.ninja >/dev/null
ninja -C build-sim --quiet tests/sim/hydrant_sim >/dev/null
sim=build-sim/tests/sim/hydrant_sim
for seed in 1 2 3 4; do
	if [ "$($sim --seed $seed)" = "$($sim --seed $seed)" ]; then
		echo "ok sim_seed_${seed}_is_the_same_run_twice"
	else
		echo "not ok sim_seed_${seed}_is_the_same_run_twice"
	fi
done
if $sim --seeds 1000000 --seconds "${SIM_SECONDS:-20}" >&2; then
	echo "ok sim_nothing_acked_is_lost_and_nothing_is_there_twice"
else
	echo "not ok sim_nothing_acked_is_lost_and_nothing_is_there_twice"
fi
