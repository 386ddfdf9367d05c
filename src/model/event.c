#include "model/event.h"

bool collection_name_valid(struct slice name)
{
	if (name.len > sizeof QUARANTINE_SUFFIX - 1) {
		struct slice tail = slice_skip(name, name.len - (sizeof QUARANTINE_SUFFIX - 1));
		if (slice_eq_str(tail, QUARANTINE_SUFFIX))
			name.len -= tail.len;
	}
	if (name.len < 1 || name.len > 63 || name.data[0] < 'a' || name.data[0] > 'z')
		return false;
	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.data[i];
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
			return false;
		if (c == '_' && i + 1 < name.len && name.data[i + 1] == '_')
			return false;
	}
	return true;
}
