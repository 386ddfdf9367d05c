#!/bin/bash
# SQL through the real program: right answers, each format, and a query that cannot leave its sandbox.
. "$HYDRANT_TESTS/lib.sh"
at_lake lake
[ -f "$(dirname "$HYDRANT")/libduckdb.so" ] || { skip query "there is no libduckdb.so beside the program"; exit 0; }

printf '%s\n' '{"id":1,"user":{"name":"ann"},"tags":["a","b"]}' '{"id":2,"user":{"name":"bo"}}' '{"id":"three"}' >in.ndjson
"$HYDRANT" ingest people in.ndjson >/dev/null 2>ingest.err || fail "ingest: $(tail -n 1 ingest.err)"

equal count_star "$(query 'select count(*) from people')" 3
equal nested_field "$(query "select user.name from people where id = 2")" bo
equal any_shows_the_sibling "$(query "select id__any from people order by __pos")" $'1\n2\nthree'
equal star_hides_machinery "$("$HYDRANT" query 'select * from people limit 0' --format csv 2>/dev/null)" "id,user,tags"
equal ndjson "$("$HYDRANT" query 'select id, user, tags from people where id = 1' --format ndjson 2>/dev/null)" \
	'{"id":1,"user":{"name":"ann"},"tags":["a","b"]}'
matches table "$("$HYDRANT" query 'select 1 as one' 2>/dev/null)" '│ one │'

refused() { # NAME SQL REGEX: exit code 1 or 2, nothing on stdout, one line on stderr
	local said code
	said=$("$HYDRANT" query "$2" --format csv 2>refused.err)
	code=$?
	if [ $code != 0 ] && [ -z "$said" ] && [[ $(tail -n 1 refused.err) =~ $3 ]]; then
		ok "$1"
	else
		not_ok "$1" "exit $code, printed '$said', said '$(tail -n 1 refused.err)'"
	fi
}
refused unknown_table_lists_what_exists 'select * from nope' "there is no collection 'nope'.*people"
refused file_outside_is_refused "select * from read_text('/etc/passwd')" 'disabled|not'
refused write_is_refused "copy people to '$PWD/evil.csv'" 'only reads'
refused drop_is_refused 'drop view people' 'only reads'
refused setting_is_refused "set memory_limit = '1TB'" 'only reads'
refused extension_is_refused 'install httpfs' 'only reads'
equal nothing_was_written "$(ls evil.csv 2>/dev/null)" ""
done_testing
