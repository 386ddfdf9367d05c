#!/bin/bash
# Runs the tests that cross rooms: every executable tests/{integration,interop,crash,s3,sim}/*_test.{sh,py} against the real
# binary. Each prints `ok NAME`, `not ok NAME: WHY` or `skip NAME: REASON` lines (tests/lib.sh, tests/lib.py).
#   tests/run.sh [--results FILE] [NAME-PART...]      TEST_JOBS=2 at once, TEST_TIMEOUT=300 s each, TEST_SHOW=1 shows what they measured
# Each runs in an empty folder of its own, in its own session, which is ended with it. In its environment: HYDRANT (the
# program), HYDRANT_TESTS (this folder), HYDRANT_SHARED (the sample data, if there is any beside the checkout).
# With HYDRANT_TEST_LAKE=s3://BUCKET/PREFIX (tests/s3/servers.py KIND tests/run.sh) the lakes of tests/{integration,interop} are in that bucket.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
results=
if [ "${1:-}" = --results ]; then
	results=$2
	shift 2
fi
export HYDRANT=${HYDRANT:-$root/build/hydrant} HYDRANT_TESTS=$root/tests
[ -n "${HYDRANT_SHARED:-}" ] || [ ! -d "$root/../shared/data" ] || HYDRANT_SHARED=$(cd "$root/../shared/data" && pwd)
export HYDRANT_SHARED=${HYDRANT_SHARED:-}
export LC_ALL=C.UTF-8 TZ=UTC PYTHONDONTWRITEBYTECODE=1
[ ! -x "$root/.cache/venv/bin/python3" ] || PATH=$root/.cache/venv/bin:$PATH
unset HYDRANT_LAKE HYDRANT_DATA HYDRANT_FAULT
jobs=${TEST_JOBS:-2} limit=${TEST_TIMEOUT:-300}

if [ ! -x "$HYDRANT" ]; then
	echo "there is no $HYDRANT: run make first" >&2
	exit 2
fi
# What is not run with the lake in a bucket, and why. A test on a lake belongs here only if it is about a folder.
declare -A folder_only=(
	[lake_spark_test]="Iceberg's HadoopCatalog over a folder; over S3 it wants Hadoop's own S3 client"
	[packaging_test]="the package's files and its unit, with the folder lake that they set up"
	[convert_readers_test]="no lake" [parquet_hyparquet_test]="no lake" [parquet_prune_test]="no lake" [parquet_read_test]="no lake"
	[parquet_spark_test]="no lake" [parquet_write_test]="no lake" [restore_test]="no lake" [tidy_test]="no lake"
)
folders="integration interop crash s3 sim"
[ -z "${HYDRANT_TEST_LAKE:-}" ] || folders="integration interop"
at=${HYDRANT_TEST_LAKE:+@${HYDRANT_TEST_STORE:-s3}}

work=$(mktemp -d "${TMPDIR:-/tmp}/hydrant-tests.XXXXXX")

end_session() { # every process of a test's session, by id
	local pids
	pids=$(ps -s "$1" -o pid= 2>/dev/null)
	[ -z "$pids" ] || kill -9 $pids 2>/dev/null
}
cleanup() {
	local f
	for f in "$work"/*.sid; do
		[ ! -s "$f" ] || end_session "$(cat "$f")"
	done
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

run_one() { # FILE NAME: runs one test file; its result lines go to $work/NAME.lines, the time and end to $work/NAME.end
	local file=$1 name=$2 dir=$work/$2 code start=$SECONDS sid
	mkdir -p "$dir/tmp"
	# setsid makes the session whose id is the pid that it writes down, so that whatever the test leaves behind can be ended.
	(cd "$dir" && HOME=$dir TMPDIR=$dir/tmp setsid --wait bash -c 'echo $$ >"$1"; exec timeout -k 5 "$2" "$3"' run "$work/$name.sid" "$limit" "$file") \
		>"$work/$name.out" 2>"$work/$name.err" </dev/null
	code=$?
	sid=$(cat "$work/$name.sid" 2>/dev/null)
	[ -z "$sid" ] || end_session "$sid"
	rm -f "$work/$name.sid"
	grep -E '^(ok|not ok|skip) ' "$work/$name.out" | sed -E "s#^(ok|not ok|skip) #\\1 $name/#" >"$work/$name.lines"
	if [ $code = 124 ] || [ $code = 137 ]; then
		echo "not ok $name: ended after $limit s" >>"$work/$name.lines"
	elif [ $code != 0 ] && ! grep -q '^not ok' "$work/$name.lines"; then
		echo "not ok $name: ended with $code before it was done" >>"$work/$name.lines"
	elif [ ! -s "$work/$name.lines" ]; then
		echo "not ok $name: it checked nothing" >>"$work/$name.lines"
	fi
	{
		echo "$name: $(grep -c '^ok' "$work/$name.lines") ok, $(grep -c '^not ok' "$work/$name.lines") not ok, $((SECONDS - start)) s"
		if grep -q '^not ok' "$work/$name.lines"; then
			grep '^not ok' "$work/$name.lines" | sed 's/^/    /'
			tail -n 40 "$work/$name.err" | sed 's/^/    | /'
		fi
		[ -z "${TEST_SHOW:-}" ] || grep -h '^# ' "$work/$name.out" "$work/$name.err" | sed 's/^# /    /'
	} >"$work/$name.report"
	cat "$work/$name.report"
	chmod -R u+w "$dir" 2>/dev/null
	rm -rf "$dir"
}

names=()
for file in $(cd "$root/tests" && for f in $folders; do echo $f/*_test.{sh,py}; done); do
	file=$root/tests/$file
	[ -x "$file" ] || continue
	name=$(basename "${file%.*}")
	if [ $# -gt 0 ]; then
		wanted=
		for part in "$@"; do
			case $name in *"$part"*) wanted=1 ;; esac
		done
		[ -n "$wanted" ] || continue
	fi
	while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
		wait -n
	done
	names+=("$name$at")
	if [ -n "$at" ] && [ -n "${folder_only[$name]:-}" ]; then
		echo "skip $name$at: ${folder_only[$name]}" >"$work/$name$at.lines"
		continue
	fi
	run_one "$file" "$name$at" &
done
wait

: >"$work/all"
for name in ${names[@]+"${names[@]}"}; do
	cat "$work/$name.lines" >>"$work/all"
done
[ -z "$results" ] || cp "$work/all" "$results"
failed=$(grep -c '^not ok' "$work/all")
if [ -z "$results" ]; then
	grep '^skip' "$work/all"
	echo "$(grep -c '^ok' "$work/all") passed, $failed failed, $(grep -c '^skip' "$work/all") skipped"
fi
[ "$failed" = 0 ]
