# Helpers for tests in bash:  . "$HYDRANT_TESTS/lib.sh"
# A test runs in an empty folder of its own; whatever it starts is ended with it.

ok() { # NAME
	echo "ok $1"
}

not_ok() { # NAME WHY; the test goes on
	echo "not ok $1: $(printf '%s' "${2:-}" | tr '\n' ' ' | cut -c 1-300)"
	failures=$((${failures:-0} + 1))
}

skip() { # NAME REASON
	echo "skip $1: $2"
}

fail() { # WHY: the test cannot go on
	echo "not ok $(basename "$0" | sed 's/_test\..*//'): $*"
	exit 1
}

check() { # NAME COMMAND…: ok if the command succeeds; its output is shown if not
	local name=$1 said
	shift
	if said=$("$@" 2>&1); then
		ok "$name"
	else
		printf '%s\n' "$said" | tail -n 20 >&2
		not_ok "$name" "'$*' ended with an error: $(printf '%s\n' "$said" | tail -n 1)"
	fi
}

equal() { # NAME GOT WANT
	if [ "$2" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1" "got '$2', want '$3'"
	fi
}

matches() { # NAME GOT REGEX
	if [[ $2 =~ $3 ]]; then
		ok "$1"
	else
		not_ok "$1" "got '$2', want something like '$3'"
	fi
}

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# at_lake NAME: commands without --lake use this lake of the test: the folder NAME, or a prefix of its own where HYDRANT_TEST_LAKE says (as lib.py).
at_lake() {
	export HYDRANT_LAKE=$PWD/$1
	[ -n "${HYDRANT_TEST_LAKE:-}" ] || return 0
	export HYDRANT_LAKE=$HYDRANT_TEST_LAKE/$(basename "$0" .sh)/$1 HYDRANT_DATA=$PWD/$1.data
}

# start_server LAKE [ARGUMENT…]: sets SERVER_PID, SERVER_URL, SERVER_LOG; returns when /readyz answers 200.
start_server() {
	local lake=$1 port waited=0
	shift
	port=$(free_port)
	SERVER_URL=http://127.0.0.1:$port
	SERVER_LOG=$PWD/server-$port.log
	at_lake "$lake"
	"$HYDRANT" serve --listen "127.0.0.1:$port" "$@" >"$SERVER_LOG" 2>&1 &
	SERVER_PID=$!
	until curl -sf -o /dev/null --max-time 2 "$SERVER_URL/readyz"; do
		kill -0 "$SERVER_PID" 2>/dev/null || fail "the server ended at its start: $(tail -n 1 "$SERVER_LOG")"
		waited=$((waited + 1))
		[ $waited -lt 500 ] || fail "the server was not ready within 10 s: $(tail -n 1 "$SERVER_LOG")"
		sleep 0.02
	done
}

stop_server() { # drains; its exit code in SERVER_CODE
	kill -TERM "$SERVER_PID" 2>/dev/null
	wait "$SERVER_PID"
	SERVER_CODE=$?
}

kill_server() { # as a power cut would, but for what the kernel still holds
	kill -KILL "$SERVER_PID" 2>/dev/null
	wait "$SERVER_PID" 2>/dev/null
	return 0
}

post() { # COLLECTION FILE|- [CURL ARGUMENT…]: prints the body of the answer
	local collection=$1 file=$2
	shift 2
	curl -s --max-time 60 --data-binary "@$file" "$@" "$SERVER_URL/v1/collections/$collection/events"
}

post_status() { # the same, prints the status
	local collection=$1 file=$2
	shift 2
	curl -s -o /dev/null -w '%{http_code}' --max-time 60 --data-binary "@$file" "$@" "$SERVER_URL/v1/collections/$collection/events"
}

query() { # SQL: one value or row a line, as csv without its header
	"$HYDRANT" query "$1" --format csv 2>query.err | tail -n +2
}

sha() { # of FILE or of standard input
	sha256sum ${1+"$1"} | cut -d ' ' -f 1
}

done_testing() { # last line of a test
	exit $((${failures:-0} > 0))
}
