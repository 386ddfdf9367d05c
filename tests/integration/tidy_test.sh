#!/bin/bash
# The check of the house's laws finds what it is there to find.
. "$HYDRANT_TESTS/lib.sh"

mkdir -p house/tools house/src/json
cp "$HYDRANT_TESTS/../tools/tidy" "$HYDRANT_TESTS/../tools/rooms.txt" house/tools/
breaks() { # NAME TEXT CODE: a file with that code gives one finding that says TEXT
	printf '%b' "$3" >house/src/json/x.c
	local said
	said=$(house/tools/tidy) && not_ok "$1" "nothing was found" && return
	case $said in
	*"$2"*"1 findings"*) ok "$1" ;;
	*) not_ok "$1" "$said" ;;
	esac
}
lines() {
	yes '\tx();\n' | head -n "$1" | tr -d '\n'
}
breaks arrow_is_kept "json may not include parquet/page.h" '#include "parquet/page.h"\n'
breaks internal_header_stays_home "is internal to base" '#include "base/x_internal.h"\n'
breaks banned_call_is_found "sprintf() is banned" 'int f(void)\n{\n\treturn sprintf(a, b);\n}\n'
breaks long_function_is_found "a function of 71 lines" "int f(void)\n{\n$(lines 69)}\n"
breaks prototype_in_source_is_found "the prototype of f" 'int f(int a,\n\tint b);\n'
breaks white_space_is_found "white space" 'int x; \n'
breaks library_log_is_found "does not log" '#include "base/log.h"\n'
breaks long_file_is_found "1201 lines" "$(yes 'int x;\n' | head -n 1201 | tr -d '\n')"
printf '%b' '/* strcpy(a, b) */\nstatic int g(void);\nint f(void)\n{\n\treturn g("gets(") + s.gets();\n}\n'"int h(void)\n{\n$(lines 68)}\n" >house/src/json/x.c
check lawful_code_passes house/tools/tidy
done_testing
